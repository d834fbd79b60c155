"""What stages hand on: artifacts, Arrow files, the quarantine. Knows no store and no model."""
