"""Maintenance commands of the project: reference pages, prose checks, mutation runs."""
