"""Train: encoded rows and a model become a fine-tuned model, through checkpoints in the store."""

from __future__ import annotations

from pathlib import Path

from job.checkpoint import catalog as checkpoint
from job.checkpoint.catalog import Restored, TrainerState
from job.errors import Absent, Torn
from job.stages.train.context import Given, Home, Trained, TrainSettings
from job.stages.train.export import saved
from job.stages.train.loop import Session

__all__ = ["Given", "Home", "TrainSettings", "Trained", "train"]


def train(given: Given) -> Trained:
    """Train from the newest verified checkpoint, or from the model, to the end.

    Every rank calls it. Where training is over already, no rank waits for another.

    Raises:
        Stopped: the run was told to stop; a checkpoint was committed if the grace period allowed.
        Diverged: a loss or gradient norm is not finite.
        PeerLost: another rank is gone.
    """
    if not given.world.first and given.world.training_ended():
        return saved(given, TrainerState())
    found = _newest(given)
    if found is not None and found.state.finished:
        return saved(given, found.state, last=found)
    session = Session(given, found)
    session.run()
    return session.finish()


def _newest(given: Given) -> Restored | None:
    """The checkpoint that the first rank chose, fetched once a pod."""
    home, world = given.home, given.world
    scratch = home.scratch / "restored"
    found: Restored | None = None
    step: int | None
    if world.first:
        found = checkpoint.newest(home.store, home.checkpoints, scratch)
        step = found.state.step if found else None
        world.rendezvous.publish("step", step)
    else:
        step = world.rendezvous.wait_for("step")
    if step is None:
        return None

    def fetch() -> dict[str, object]:
        here = found or checkpoint.restore(home.store, home.checkpoints, step, scratch)
        return {"folder": str(here.folder), "meta": dict(here.meta)}

    try:
        place = world.rendezvous.once_per_node("checkpoint", fetch)
    except (Torn, Absent) as error:  # the first rank has just verified it
        raise Torn(error.message, hint="the store gives its pods different answers") from error
    return found or Restored.opened(Path(place["folder"]), place["meta"])
