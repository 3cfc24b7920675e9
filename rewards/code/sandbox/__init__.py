"""A sandbox for programs that a model wrote: see `engine` for how it is used, `layers` for what holds on a machine."""
