"""Molecule depictions, drawn in a worker process."""
