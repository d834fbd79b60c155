"""Predict: rows without targets in, files of predictions out."""

from job.stages.predict.parts import Parts
from job.stages.predict.predictor import Predictor

__all__ = ["Parts", "Predictor"]
