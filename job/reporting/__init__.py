"""What people read about a model: its card."""
