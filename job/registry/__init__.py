"""The published versions of a model, and the champion: the one that is in use."""
