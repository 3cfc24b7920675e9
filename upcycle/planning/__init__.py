"""Sizes, FLOPs and memory of a run, computed before it starts."""
