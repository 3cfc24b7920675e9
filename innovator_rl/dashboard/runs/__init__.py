"""Runs of the dashboard: found in folders, opened for reading, labeled."""
