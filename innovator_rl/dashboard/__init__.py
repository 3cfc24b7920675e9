"""Serve the web UI that shows run directories, live or finished."""
