"""Prepare: files become clean rows, and clean rows the data set that a run trains on.

Every command that reads rows fetches and cleans them the same way; for a run, `dataset` also encodes
them and commits the result.
"""

from job.prepare.clean_rows import rows
from job.prepare.encoded_dataset import dataset
from job.prepare.start import START

__all__ = ["START", "dataset", "rows"]
