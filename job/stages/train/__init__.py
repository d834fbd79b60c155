"""Train: encoded rows and a model become a fine-tuned model, through checkpoints in the store."""

from __future__ import annotations

from job.stages.train.given import Given, Home, Trained, TrainSettings
from job.stages.train.session import Session

__all__ = ["Given", "Home", "TrainSettings", "Trained", "train"]


def train(given: Given) -> Trained:
    """Train from the newest verified checkpoint, or from the model, to the end.

    Raises:
        Stopped: the run was told to stop; a checkpoint was committed if the grace period allowed.
        Diverged: a loss or gradient norm is not finite.
    """
    session = Session(given)
    if not session.state.finished:
        session.run()
    return session.finish()
