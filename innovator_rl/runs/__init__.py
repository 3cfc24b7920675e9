"""The run directory: its files, lock, heartbeat, provenance, metrics and progress."""
