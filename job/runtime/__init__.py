"""Inside one process: its stop, its watchdog, its scratch folder, its device, the limits of its container."""
