"""Tools of the dashboard: SQL console, rescoring, export, static site."""
