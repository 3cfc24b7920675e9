"""Read the YAML file of a recipe, and explain what is wrong with its keys.

It is read as configurations are (`config.load`), and its messages have the same form.
"""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from innovator_rl.config.load import parse_yaml
from innovator_rl.config.schema_introspection import in_words
from innovator_rl.errors import UserError

Place = tuple[int | str, ...]


def read_recipe(path: Path) -> Any:
    """Return the content of a recipe's file.

    Raises:
        UserError: The file cannot be read, is not YAML, or gives a key twice; the message has the file and the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"recipe {str(path)!r} cannot be read ({error.strerror}){_recipes_beside(path)}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"recipe {str(path)!r} is not UTF-8: {error}") from None
    return parse_yaml(text, f"recipe {str(path)!r}")


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return every mistake as key, value and what is expected, in the words of the configuration's messages.

    Args:
        error: What reading found.
        model: The kind of recipe.
    """
    parts = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] in ("extra_forbidden", "invalid_key"):
            parts.append(_unknown(item["loc"], model))
        elif item["type"] == "value_error":  # of a validator here, whose message has the value
            message = item["msg"].removeprefix("Value error, ")
            parts.append(f"{key}: {message}" if key else message)
        elif item["type"] == "missing":
            parts.append(f"{key}: not found; expected {_expected(item['loc'], model)}")
        else:
            parts.append(f"{key} = {item['input']!r:.120}: expected {_expected(item['loc'], model)}")
    return "; ".join(parts)


def _unknown(location: Place, recipe: type[BaseModel]) -> str:
    """Say that a key is unknown, with the near ones of its section or all of them."""
    section, name = ".".join(str(part) for part in location[:-1]), str(location[-1])
    model = _section(_kind_at(location[:-1], recipe)[0])
    names = list(model.model_fields) if model else []
    close = difflib.get_close_matches(name, names, n=1)
    full = f"{section}.{name}" if section else name
    if close:
        return f"unknown key {full!r}, did you mean {f'{section}.{close[0]}' if section else close[0]!r}?"
    return f"unknown key {full!r}; keys{f' of {section}' if section else ''} are {', '.join(names)}"


def _kind_at(location: Place, recipe: type[BaseModel]) -> tuple[Any, list[Any]]:
    """Return the type of a recipe's value, and the bounds of its field."""
    kind: Any = recipe
    bounds: list[Any] = []
    for part in location:
        model = _section(kind)
        if model is not None and part in model.model_fields:
            field = model.model_fields[str(part)]
            kind, bounds = field.annotation, field.metadata
        else:  # an item of a list, or a value of a mapping
            inner = [argument for argument in get_args(_required(kind)) if argument is not Ellipsis]
            kind, bounds = (inner[-1] if inner else Any), []
    return kind, bounds


def _expected(location: Place, recipe: type[BaseModel]) -> str:
    """Describe what belongs at a place of a recipe."""
    kind, bounds = _kind_at(location, recipe)
    kind = _required(kind)
    if model := _section(kind):
        return f"a section with {', '.join(model.model_fields)}"
    if get_origin(kind) is tuple and (model := _section(get_args(kind)[0])):
        return f"a list of sections with {', '.join(model.model_fields)}"
    return "a path" if kind is Path else in_words(kind, bounds)


def _required(kind: Any) -> Any:
    """Return an optional type without None."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    inner = [part for part in get_args(kind) if part is not type(None)]
    return inner[0] if len(inner) == 1 else kind


def _section(kind: Any) -> type[BaseModel] | None:
    kind = _required(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _recipes_beside(path: Path) -> str:
    names = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; {str(path.parent)!r} holds {', '.join(names)}" if names else ""
