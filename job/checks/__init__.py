"""Checks: the night's rows against the champion and what it knows, before anything is trained on them."""

from job.checks.measure import before_training, prepared_before

__all__ = ["before_training", "prepared_before"]
