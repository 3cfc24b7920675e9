"""Adapters to the libraries the service is built on, one package per library."""
