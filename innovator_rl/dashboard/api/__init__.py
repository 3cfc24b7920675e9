"""Define the dashboard's HTTP routes, one module per group, and their results."""
