"""Provide the project's maintenance commands: pages, prose checks, mutants."""
