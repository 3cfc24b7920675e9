"""Read-only queries behind the dashboard's pages."""
