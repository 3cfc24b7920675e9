"""Offers the misbehaving plugin to the tests of this folder."""

from faulty_plugin_fixture import plugin

__all__ = ["plugin"]
