"""HTTP foundations of the dashboard: security, JSON responses, errors."""
