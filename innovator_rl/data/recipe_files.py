"""Read the YAML file of a recipe, and explain what is wrong with its keys.

YAML keeps the last of two equal keys and drops the first in silence; here that is an error with both lines.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from innovator_rl.errors import UserError

SHOWN_CHARS = 60


class _Loader(yaml.SafeLoader):
    """Safe YAML without repeated keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise _RepeatedKeyError(key.value, lines[key.value], line)
                lines[key.value] = line
        return node


class _RepeatedKeyError(Exception):
    """A key that a mapping has twice, and the lines."""


def read_recipe(path: Path) -> Any:
    """Return the content of a recipe's file.

    Raises:
        UserError: The file cannot be read, is not YAML, or gives a key twice; the message has the file and the line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UserError(f"recipe {str(path)!r} cannot be read ({error.strerror}){_recipes_beside(path)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {str(path)!r} is not YAML: {' '.join(str(error).split())}") from None
    except _RepeatedKeyError as error:
        key, first, line = error.args
        raise UserError(
            f"recipe {str(path)!r}: the key {key!r} of line {line} is given in line {first} too: remove one of them"
        ) from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is wrong with the keys of a recipe in one line, with the values and the near keys."""
    return "; ".join(_explain(item, model) for item in error.errors())


def _explain(item: Any, model: type[BaseModel]) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        fields = _section(model, item["loc"][:-1]).model_fields
        near = difflib.get_close_matches(str(item["loc"][-1]), fields, n=1)
        return f"unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else f"; keys are {', '.join(fields)}")
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] not in ("value_error", "missing"):
        message += f", got {repr(item['input'])[:SHOWN_CHARS]}"
    return f"{key}: {message}" if key else message


def _section(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """Return the model of the section at a path of keys and places in lists."""
    for part in path:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _recipes_beside(path: Path) -> str:
    names = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; {str(path.parent)!r} holds {', '.join(names)}" if names else ""
