"""Checks: the night's rows against the champion and what it knows, before anything is trained on them."""

from job.checks.stage import check, doubts

__all__ = ["check", "doubts"]
