"""Alert rules over a run's metrics and responses."""
