"""Accept the former names of parameters, fields and values.

Bookmarks, scripts and recorded labels keep working for one release: `fate=kept` is read as `status=kept`, a body with
`sample` as one with `sample_index`. This table is the only place that lists old names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

RENAMED: dict[tuple[str, str | None], tuple[str, str | None]] = {
    ("fate", None): ("status", None),
    ("sample", None): ("sample_index", None),
    ("status", "ok"): ("generation_status", "ok"),  # `failed` is a value of both and has the new meaning
    ("drop_reason", "unjudged"): ("drop_reason", "unscored"),
    ("sort", "sample"): ("sort", "sample_index"),
    ("sort", "-sample"): ("sort", "-sample_index"),
}
"""Old (name, value) to new (name, value); None stands for every value, which is kept."""


def current(name: str, value: str) -> tuple[str, str]:
    """Return a parameter and its value under their present names."""
    new_name, new_value = RENAMED.get((name, value)) or RENAMED.get((name, None)) or (name, None)
    return new_name, value if new_value is None else new_value


def current_parameters(parameters: QueryParams) -> QueryParams:
    """Return query parameters under their present names."""
    return QueryParams([current(name, value) for name, value in parameters.multi_items()])


def current_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body or a recorded line under their present names.

    A present name wins over an old one.
    """
    renamed = {RENAMED.get((name, None), (name, None))[0]: value for name, value in fields.items()}
    return {**renamed, **{name: value for name, value in fields.items() if (name, None) not in RENAMED}}
