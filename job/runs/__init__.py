"""Runs: what makes two the same, their record in the store, their attempts, their fence."""
