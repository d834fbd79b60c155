"""The published versions of a model."""
