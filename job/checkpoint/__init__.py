"""Checkpoints: staged in memory, uploaded in the background, found again, restored."""
