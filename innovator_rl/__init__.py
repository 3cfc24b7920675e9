"""Innovator RL is a post-training service for science language models.

Importing it makes `rewards` and `upcycle` resolve to the packages installed beside it (see `_sibling_packages`).
"""

from innovator_rl import _sibling_packages

__version__ = "0.1.0"

_sibling_packages.install()
