"""Define the base class and number types of every configuration section.

They are shared with the run configuration.
"""

from innovator_rl.config.schema import Names, PositiveFloat, PositiveInt, Section

__all__ = ["Names", "PositiveFloat", "PositiveInt", "Section"]
