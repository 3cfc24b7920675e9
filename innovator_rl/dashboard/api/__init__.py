"""HTTP routes of the dashboard, one module per group, with models of what they return."""
