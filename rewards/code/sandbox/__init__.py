"""Run programs that a model wrote: see `executor` for the use, `layers` for what holds on a machine."""
