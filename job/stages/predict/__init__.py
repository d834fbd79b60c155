"""Predict: rows without targets in, files of predictions out."""

from job.stages.predict.predictor import Predictor
from job.stages.predict.row_rules import ORIGIN, PredictRules, refuse_taken
from job.stages.predict.shards import Shards

__all__ = ["ORIGIN", "PredictRules", "Predictor", "Shards", "refuse_taken"]
