"""Molecules: properties, captions of them, and molecules from captions."""
