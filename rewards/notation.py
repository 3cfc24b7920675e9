"""The vocabulary of formulas: Greek letters and their Unicode signs, functions with their values, accents, and what
TeX only spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mpmath


def listed(names: str) -> list[str]:
    """The words of a table that is easier to read as a line of text."""
    return names.split()


GREEK = listed(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell Re Im nabla "
    "partial aleph"
)
VARIANTS = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho"}
UNICODE_LETTERS = dict(
    zip(
        "αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΦΨΩħℏℓ∂∇",
        listed(
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi "
            "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega hbar hbar ell partial nabla"
        ),
        strict=True,
    )
)
UNICODE_SIGNS = {
    **{"−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*", "π": r"\pi ", "∞": r"\infty "},
    **{"≈": "=", "′": "'", "’": "'", "÷": "/", "∣": "|", "½": r"\frac{1}{2}", "∫": r"\int "},
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_CIRCULAR = listed("sin cos tan sec csc cot sinh cosh tanh coth sech csch")
_INVERTED = listed("sin cos tan sinh cosh tanh")


def _ln(x: Any) -> Any:
    return mpmath.log(x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(mpmath, name) for name in _CIRCULAR},
    **{form + name: getattr(mpmath, "a" + name) for name in _INVERTED for form in ("a", "arc")},
    **{"ln": _ln, "log": _ln, "lg": mpmath.log10, "exp": mpmath.exp, "sqrt": mpmath.sqrt, "cbrt": mpmath.cbrt},
    **{"erf": mpmath.erf, "erfc": mpmath.erfc, "Ai": mpmath.airyai, "Bi": mpmath.airybi, "sinc": mpmath.sinc},
    **{"abs": mpmath.fabs, "sgn": mpmath.sign},
}
UNBOUNDED = {"ln", "log", "lg", "sqrt", "abs", "sgn", "cbrt"}
INVERSES = {name: "a" + name for name in _INVERTED}
INDEXED: dict[str, Callable[..., Any]] = {
    **{"J": mpmath.besselj, "Y": mpmath.bessely, "I": mpmath.besseli},
    **{"P": mpmath.legendre, "H": mpmath.hermite, "L": mpmath.laguerre},
}
"""Functions of an order, which stands as a subscript, and an argument."""

SPECIAL: dict[str, Callable[..., Any]] = {**INDEXED, "Gamma": mpmath.gamma, "zeta": mpmath.zeta, "B": mpmath.beta}
VECTORS = {"vec", "mathbf", "boldsymbol", "bm", "overrightarrow"}
ACCENTS = VECTORS | set(listed("dot ddot bar overline hat widehat tilde mathcal mathbb underline"))
UNWRAPPED = set(listed("mathrm text operatorname mathit textrm mathsf textit rm displaystyle mbox textstyle"))
SPACING = {",", ";", ":", "!", " ", ">"} | set(
    listed("quad qquad left right bigl bigr big Big Bigl Bigr bigg Bigg biggl biggr limits nonumber")
)
TOKEN = re.compile(
    r"\s+|(\d+(?:\.\d+)?(?:[eE][-+]?\d+(?![A-Za-z0-9]))?|\.\d+)|\\([A-Za-z]+|.)|([A-Za-z])|(.)", re.DOTALL
)
ALIASES = {"\\lbrace": "\\{", "\\rbrace": "\\}", "\\lvert": "|", "\\rvert": "|", "\\vert": "|", "~": ""}
NO_FACTOR = {"\\cdot", "\\times", "\\div", "\\pm", "\\mp", "\\rangle", "\\rfloor"}
SPELLED = sorted([*FUNCTIONS, *GREEK, "pi"], key=len, reverse=True)
"""Names that mean the same without their backslash."""
