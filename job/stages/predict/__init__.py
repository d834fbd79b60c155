"""Predict: rows without targets in, files of predictions out."""

from job.stages.predict.predictor import Predictor
from job.stages.predict.shards import Parts

__all__ = ["Parts", "Predictor"]
