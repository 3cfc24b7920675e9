"""Innovator RL: a post-training service for science language models.

The rooms and what each may import are drawn in README.md and enforced by import-linter (`make check`).
"""

__version__ = "0.1.0"
