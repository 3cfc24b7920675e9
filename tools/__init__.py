"""Checks of this repository that no package of the field offers."""
