"""Read a YAML file and `key=value` overrides into a `RunConfig`.

Mistakes are reported with one sentence each.

YAML's traps are closed here: a key given twice is an error (YAML keeps the last), `1e-6` is a number (YAML 1.1 reads
text), and `off` is a word (YAML 1.1 reads false). All mistakes of a file are reported together, one per line, each with
its key, its value and what is expected instead.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from innovator_rl.config.schema import RunConfig
from innovator_rl.config.schema_introspection import known_keys, settings
from innovator_rl.errors import UserError

Schema = TypeVar("Schema", bound=BaseModel)

RENAMED = {"reward.allow_unsafe_code": "reward.code_isolation"}
"""Keys of earlier versions and what stands in their place."""


class _Loader(yaml.SafeLoader):
    """Safe YAML 1.1 with YAML 1.2's numbers and booleans, and without repeated keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Read a mapping; here its keys are those that are written, before `<<` adds others."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.composer.ComposerError(None, None, "a key must be a word", key.start_mark)
            if key.value in lines:
                problem = f"the key {key.value!r} is given twice: remove it here or in line {lines[key.value]}"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node


_REPLACED = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _REPLACED]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Raises:
        UserError: the file is not found or not valid; the message has the file and the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = get_close_matches(
            path.name, [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else [], 3, 0.4
        )
        raise UserError(f"{path}: no such file" + (f"; near: {', '.join(near)}" if near else "")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """Parse YAML text that holds a mapping.

    Args:
        text: The YAML text; an empty one is an empty mapping.
        origin: Name of the text in messages.

    Raises:
        UserError: The text is not YAML or no mapping, with line and column.
    """
    try:
        document = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{origin}:{where}: {getattr(error, 'problem', None) or 'not valid YAML'}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UserError(f"{origin}: expected a mapping of sections, found {type(document).__name__}: {document!r:.80}")
    return document


def apply_overrides(document: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `document` with dotted `key=value` words laid over it.

    Args:
        document: The mapping to start from; it is not changed.
        overrides: Words such as `schedule.steps=40`; values are read as YAML.

    Raises:
        UserError: A word is not `key=value`, a key is given twice, or a key goes through a value that is no section.
    """
    result = _copy(document)
    given: dict[str, str] = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{word!r}: expected key=value, for example algorithm.learning_rate=1e-6")
        if key.startswith(("+", "~")):
            raise UserError(
                f"{word!r} must not begin with {key[0]!r}; write {key.lstrip('+~')}=... and the key is checked"
            )
        if (before := given.setdefault(key.strip(), word)) is not word:
            raise UserError(f"{before!r} and {word!r}: the key {key.strip()!r} is given twice; expected one of them")
        value = parse_yaml(f"value: {text}" if text.strip() else "value: ''", f"{key}={text}").get("value")
        parts = key.strip().split(".")
        if parts[0] == "verl" and len(parts) > 1:
            parts = ["verl", ".".join(parts[1:])]
        _set(result, parts, value, word)
    return result


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _set(target: dict[str, Any], parts: Sequence[str], value: Any, word: str) -> None:
    *path, last = parts
    for depth, part in enumerate(path):
        inner = target.get(part)
        if inner is None:
            inner = target[part] = {}
        if not isinstance(inner, dict):
            raise UserError(f"{word!r}: {'.'.join(path[: depth + 1])} is {inner!r} in the file, not a section")
        target = inner
    target[last] = value


def load(path: str | Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Load a run.

    Args:
        path: YAML file; None starts from the defaults.
        overrides: dotted `key=value` words.

    Raises:
        UserError: one line per mistake.
    """
    return load_as(RunConfig, path, overrides)


def load_as(schema: type[Schema], path: str | Path | None, overrides: Sequence[str] = ()) -> Schema:
    """Load a configuration of any schema, as `load` does for a run.

    Args:
        schema: a pydantic model of nested sections.
        path: YAML file; None starts from the defaults.
        overrides: dotted `key=value` words.

    Raises:
        UserError: one line per mistake.
    """
    document = {} if path is None else read_yaml(path)
    origin = str(path) if path is not None else "configuration"
    return validate_as(schema, apply_overrides(document, overrides), origin)


def validate(document: Mapping[str, Any], origin: str = "configuration") -> RunConfig:
    """Check a plain mapping against the schema of a run.

    Args:
        document: nested sections and settings.
        origin: name of the document in messages.

    Raises:
        UserError: one line per mistake.
    """
    return validate_as(RunConfig, document, origin)


def validate_as(schema: type[Schema], document: Mapping[str, Any], origin: str = "configuration") -> Schema:
    """Check a plain mapping against a schema.

    Args:
        schema: a pydantic model of nested sections.
        document: nested sections and settings.
        origin: name of the document in messages.

    Raises:
        UserError: one line per mistake.
    """
    document = {
        key: ({} if value is None and key in (*known_keys(schema), "verl") else value)
        for key, value in document.items()
    }
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        lines = dict.fromkeys(_sentence(problem, schema) for problem in _merge(error, schema))
        raise UserError("\n".join(f"{origin}: {line}" for line in lines)) from None


def _merge(error: ValidationError, schema: type[BaseModel]) -> list[dict[str, Any]]:
    """Merge mistakes to one per setting.

    A union reports each of its branches for one mistake.
    """
    merged: dict[str, dict[str, Any]] = {}
    leaves = {setting.key for setting in settings(schema)}
    for item in error.errors(include_url=False):
        parts = [str(part) for part in item["loc"]]
        key = ".".join(parts)
        for size in range(len(parts), 0, -1):
            if ".".join(parts[:size]) in leaves:
                key = ".".join(parts[:size])
                break
        entry: dict[str, Any] = {
            "key": key,
            "path": ".".join(parts),
            "kind": item["type"],
            "message": item["msg"],
            "value": item["input"],
        }
        merged.setdefault(key, entry)
    return list(merged.values())


def _sentence(problem: dict[str, Any], schema: type[BaseModel]) -> str:
    key = str(problem["key"])
    if problem["kind"] == "extra_forbidden":
        return _unknown(key, schema)
    by_key = {setting.key: setting for setting in settings(schema)}
    if key in by_key:
        inside = (
            f" (at {problem['path']})"
            if isinstance(problem["value"], (str, int, float)) and _is_mapping(by_key[key].type)
            else ""
        )
        return f"{key} = {problem['value']!r:.120}{inside}: expected {by_key[key].type}"
    return f"{key} = {problem['value']!r:.120}: expected a section with {', '.join(known_keys(schema).get(key, ()))}"


def _is_mapping(words: str) -> bool:
    return words.startswith(("mapping", "list"))


def _unknown(key: str, schema: type[BaseModel]) -> str:
    """Say that a key is unknown, with the near ones and the names of its section."""
    if schema is RunConfig and key in RENAMED:
        return f"{key}: this setting is now {RENAMED[key]} ({_described(RENAMED[key])})"
    section, _, name = key.rpartition(".")
    names = known_keys(schema).get(section, ())
    near = get_close_matches(name, names, 3, 0.6)
    elsewhere = [setting.key for setting in settings(schema) if setting.key.rpartition(".")[2] == name]
    elsewhere += [
        s.key
        for s in settings(schema)
        if s.key not in elsewhere and get_close_matches(name, [s.key.rpartition(".")[2]], 1, 0.8)
    ]
    suggestions = [f"{section}.{n}" if section else n for n in near] + elsewhere
    hint = f"; did you mean {' or '.join(dict.fromkeys(suggestions))}?" if suggestions else ""
    return f"{key}: unknown key{hint} ({section or 'a run'} has {', '.join(names)})"


def _described(key: str) -> str:
    setting = next(setting for setting in settings() if setting.key == key)
    return f"{setting.type}; default {setting.default}"
