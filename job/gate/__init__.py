"""The gate: which rows judge a model, and whether it becomes the champion."""
