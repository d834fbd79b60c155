"""Checks: the night's rows against the champion and what it knows, before anything is trained on them."""

from job.checks.stage import check, found_before

__all__ = ["check", "found_before"]
