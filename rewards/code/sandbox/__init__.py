"""Run programs that a model wrote; `executor` runs, `layers` probes the isolation."""
