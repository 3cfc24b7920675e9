"""Read the schema as data: each setting's key, type, default and description.

One walk over a schema, by default `RunConfig`, serves the error messages of `load` (which keys are near, what was expected) and
docs/configuration.md, so neither can drift from the schema.
"""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from innovator_rl.config.schema import NAME_PATTERN, RunConfig

WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Any: "anything"}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
PATTERNS = {NAME_PATTERN: "text of letters, digits and . _ - that begins with a letter or a digit"}
"""Regular expression of a setting -> what it accepts, in words."""


@dataclass(frozen=True)
class Setting:
    """One setting of the schema."""

    key: str
    type: str
    default: Any
    description: str

    @property
    def section(self) -> str:
        """The dotted key of the setting's section; empty for a setting of the run itself."""
        return self.key.rpartition(".")[0]


def bounds(metadata: typing.Sequence[Any]) -> str:
    """Format the numeric bounds among a field's metadata, for example ' ≥ 1'."""
    found = [
        (sign, getattr(item, name))
        for item in metadata
        for name, sign in SIGNS.items()
        if getattr(item, name, None) is not None
    ]
    found += [pair for item in metadata if isinstance(item, FieldInfo) for pair in _pairs(item)]
    return "".join(f" {sign} {value}" for sign, value in found)


def _pairs(info: FieldInfo) -> list[tuple[str, Any]]:
    return [
        (sign, getattr(item, name))
        for item in info.metadata
        for name, sign in SIGNS.items()
        if getattr(item, name, None) is not None
    ]


def in_words(annotation: Any, metadata: typing.Sequence[Any] = ()) -> str:
    """Describe a type in words: 'whole number ≥ 1, or auto'."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = get_args(annotation)
        return in_words(inner, [*metadata, *more])
    if origin in (Union, types.UnionType):
        return ", or ".join(in_words(part) for part in get_args(annotation))
    if origin is Literal:
        return " | ".join(str(value) for value in get_args(annotation))
    if origin is tuple:
        return f"list of {in_words(get_args(annotation)[0])}"
    if origin is dict:
        key, value = get_args(annotation)
        return "any mapping" if value is Any else f"mapping of {in_words(key)} to {in_words(value)}"
    if annotation is type(None):
        return "null"
    pattern = next((item.pattern for item in metadata if getattr(item, "pattern", None)), None)
    if pattern is not None:
        return PATTERNS.get(pattern, f"text that matches {pattern}")
    return WORDS.get(annotation, str(annotation)) + bounds(metadata)


def sections(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every section with its dotted key, the root ('') first, depth first."""
    yield prefix, model
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from sections(info.annotation, f"{prefix}.{name}" if prefix else name)


@cache
def settings(schema: type[BaseModel] = RunConfig) -> tuple[Setting, ...]:
    """List every leaf setting in schema order."""
    found = []
    for prefix, model in sections(schema):
        for name, info in model.model_fields.items():
            if not (isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)):
                key = f"{prefix}.{name}" if prefix else name
                found.append(
                    Setting(key, in_words(info.annotation, info.metadata), info.default, info.description or "")
                )
    return tuple(found)


@cache
def known_keys(schema: type[BaseModel] = RunConfig) -> dict[str, tuple[str, ...]]:
    """Return section key -> its names (leaf settings and sub-sections)."""
    return {prefix: tuple(model.model_fields) for prefix, model in sections(schema)}
