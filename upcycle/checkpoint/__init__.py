"""Checkpoints: reading, splitting, writing, converting and verifying."""
