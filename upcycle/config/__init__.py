"""Typed configuration of an upcycling run."""
