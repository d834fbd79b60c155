"""Predict: rows without targets in, files of predictions out."""

from job.stages.predict.predictor import Predictor
from job.stages.predict.row_rules import PredictRules
from job.stages.predict.shards import Shards

__all__ = ["PredictRules", "Predictor", "Shards"]
