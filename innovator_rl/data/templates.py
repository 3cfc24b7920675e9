"""Render the `system` and `prompt` templates of a recipe.

Templates are Jinja in its sandbox: a recipe from elsewhere can format text, and reach neither Python's internals nor
files. An unknown variable is an error that lists the known ones, because an empty hole in a prompt would train a model
on questions without their content.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from innovator_rl.errors import UserError

MAX_CHARS = 1_000_000


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with products bounded: `"x" * 10**10` would take all memory before any length could be checked."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) if isinstance(side, (str, list, tuple)) else side for side in (left, right)]
        large = any(isinstance(size, (int, float)) and abs(size) > MAX_CHARS for size in sizes)
        if operator == "**" or large or (sizes[0] and sizes[1] and abs(sizes[0] * sizes[1]) > MAX_CHARS):
            raise TemplateError(f"the result of {operator!r} is not allowed in a template")
        return super().call_binop(context, operator, left, right)


_ENVIRONMENT = _Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)


@lru_cache(maxsize=64)
def compile_template(text: str) -> Template:
    """Compile a template.

    Raises:
        UserError: The text is not a Jinja template; the message has the line.
    """
    try:
        return _ENVIRONMENT.from_string(text)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise UserError(f"template, line {line or 1}: {error}") from None


def template_variables(text: str) -> frozenset[str]:
    """Return the names of the variables that a template asks for; the template must compile."""
    return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(text)))


def render_template(text: str, variables: Mapping[str, Any], what: str) -> str:
    """Return a template with its variables filled in.

    Args:
        text: The template.
        variables: Names and values.
        what: What is rendered, for messages.

    Raises:
        UserError: A variable is unknown, the sandbox refuses an operation, or the result is empty or huge.
    """
    try:
        rendered = compile_template(text).render(variables).strip()
    except TemplateError as error:
        raise UserError(f"{what}: {error}; known variables: {', '.join(sorted(variables))}") from None
    except (ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
        raise UserError(f"{what}: {type(error).__name__}: {error}") from None
    if not rendered:
        raise UserError(f"{what}: the template gives an empty text")
    if len(rendered) > MAX_CHARS:
        raise UserError(f"{what}: the text has {len(rendered)} characters, expected at most {MAX_CHARS}")
    return rendered
