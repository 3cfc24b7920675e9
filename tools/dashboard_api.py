"""Write docs/dashboard-api.md: `python -m tools.dashboard_api`.

It is made from the dashboard's routes and response models.

A test compares the file with `page()`, so a changed route cannot leave the page behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from innovator_rl.dashboard.app import create_app
from innovator_rl.dashboard.queries.filters import FILTERS
from innovator_rl.dashboard.web.aliases import RENAMED

PAGE = Path(__file__).parents[1] / "docs" / "dashboard-api.md"
HEAD = """# HTTP interface of the dashboard

The page gets everything that it shows from these routes; scripts may use them too. This file is generated from the routes
and their response models by `python -m tools.dashboard_api`; do not edit it by hand.

Responses are JSON in UTF-8. A number that is not finite is `null`. Times are UTC in ISO 8601. An error has the form
`{"error": "one sentence"}` with status 400 (parameter or body), 401 (token), 403 (Host or Origin), 404 (not found), 413 (too
large) or 503 (try again; see `Retry-After`).

`kind`, `step`, `uid` and `sample_index` name a response. They survive restarts of the run, so a link to a response stays
valid. On any address but loopback every request needs the token: send `Authorization: Bearer TOKEN`, or open `/?token=TOKEN`
once, which sets a cookie.
"""
FILTER_TEXT = """## Filters

Routes that accept *filters* take these query parameters. Filters of different names must all hold.
"""
ALIAS_TEXT = """## Old names

These names are still accepted in query parameters and bodies; they will be removed in the next release.

| old | now |
|---|---|
"""
MODELS_TEXT = "## Types\n\n`T?` is a value of type `T` or null; a field marked with * may be absent.\n"

Schema = dict[str, Any]


def schema() -> Schema:
    """Return the OpenAPI schema of the application."""
    return create_app([]).openapi()


def page() -> str:
    """Return the whole page."""
    api = schema()
    parts = [HEAD, FILTER_TEXT, _table(("parameter", "meaning"), [(f"`{n}`", text) for n, text in FILTERS.items()])]
    parts.append(ALIAS_TEXT + "".join(f"| `{_pair(*old)}` | `{_pair(*new)}` |\n" for old, new in RENAMED.items()))
    tags: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(_route(method.upper(), path, operation))
    parts += ["\n".join([f"## {tag}\n", *routes]) for tag, routes in tags.items()]
    models = api["components"]["schemas"]
    parts.append(MODELS_TEXT)
    parts += [_model(name, models[name]) for name in sorted(models)]
    return "\n".join(parts)


def _pair(name: str, value: str | None) -> str:
    return f"{name}={value}" if value else name


def _route(method: str, path: str, operation: Schema) -> str:
    lines = [f"### {method} {path}", "", operation["description"], ""]
    own = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    filtered = {p["name"] for p in own} >= set(FILTERS)
    rows = [(_parameter(p), p["description"]) for p in own if not (filtered and p["name"] in FILTERS)]
    if filtered:
        rows.insert(0, ("*filters*", "See [Filters](#filters)."))
    if rows:
        lines.append(_table(("parameter", "meaning"), rows))
    if body := operation.get("requestBody"):
        lines += [f"Body: {_type(body['content']['application/json']['schema'])}.", ""]
    content = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema")
    if content:
        lines += [f"Returns {_type(content)}.", ""]
    return "\n".join(lines)


def _parameter(parameter: Schema) -> str:
    return f"`{parameter['name']}`{' (required)' if parameter.get('required') else ''}"


def _model(name: str, model: Schema) -> str:
    required = set(model.get("required", ()))
    rows = [
        (f"`{field}`{'' if field in required else '*'}", _type(facts), facts["description"])
        for field, facts in model.get("properties", {}).items()
    ]
    return f"### {name}\n\n{model['description']}\n\n{_table(('field', 'type', 'meaning'), rows)}"


def _type(facts: Schema) -> str:
    """Return a type in words, with links to the models."""
    if "$ref" in facts:
        name = facts["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "allOf" in facts:
        return _type(facts["allOf"][0])
    if "anyOf" in facts:
        kinds = [_type(one) for one in facts["anyOf"] if one.get("type") != "null"]
        return " or ".join(kinds) + ("?" if len(kinds) < len(facts["anyOf"]) else "")
    if "enum" in facts:
        return "string"
    if facts.get("type") == "array":
        return f"list of {_type(facts['items'])}"
    if facts.get("type") == "object":
        values = facts.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    return str(facts.get("type", "any"))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
