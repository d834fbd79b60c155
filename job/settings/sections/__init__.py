"""The sections of the settings; their docstrings are the reference that users read."""
