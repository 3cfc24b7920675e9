"""Define the vocabulary of formulas.

It holds Greek letters and their Unicode signs, functions with their values, accents, and what TeX only spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mpmath


def listed(names: str) -> list[str]:
    """Return the words of a table that is easier to read as a line of text."""
    return names.split()


GREEK = set(
    listed(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma "
        "tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell Re "
        "Im nabla partial aleph dots ldots cdots vdots dotsb dotsc prime dagger imath jmath varsigma emptyset bullet"
    )
)
VARIANTS = {
    **{
        "overline": "bar",
        "widehat": "hat",
        "widetilde": "tilde",
        "varepsilon": "epsilon",
        "vartheta": "theta",
        "varphi": "phi",
        "varrho": "rho",
        "varsigma": "sigma",
    },
    **{"ldots": "dots", "cdots": "dots", "dotsb": "dots", "dotsc": "dots", "imath": "i", "jmath": "j", "ell": "l"},
}
UNICODE_LETTERS = dict(
    zip(
        "αβγδεϵζηθϑικλμνξρστυφϕχψωΓΔΘΛΞΠΣΦΨΩħℏℓ∂∇µ",
        listed(
            "alpha beta gamma delta epsilon epsilon zeta eta theta theta iota kappa lambda mu nu xi rho sigma tau "
            "upsilon phi phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega hbar hbar ell partial "
            "nabla mu"
        ),
        strict=True,
    )
)
UNICODE_SIGNS = {
    **{"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*"},
    **{"∙": r"\cdot ", "•": r"\cdot ", "π": r"\pi ", "∞": r"\infty ", "≈": "=", "′": "'", "’": "'", "÷": "/"},
    **{"∣": "|", "∫": r"\int ", "∑": r"\sum ", "∏": r"\prod ", "°": r"^{\circ}", "⟨": r"\langle ", "⟩": r"\rangle "},
    **{"½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}"},
    **{
        "±": r"\pm ",
        "∓": r"\mp ",
        "…": r"\dots ",
        "↑": r"\uparrow ",
        "↓": r"\downarrow ",
        "†": r"\dagger ",
        "⁄": "/",
        "″": "''",
        "∶": ":",
        "︰": ":",
        "：": ":",
    },
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙᵢⱼₖₘₚₑ", "0123456789+-nijkmpe")

_CIRCULAR = listed("sin cos tan sec csc cot sinh cosh tanh coth sech csch")


def _log(x: Any) -> Any:
    return mpmath.log(x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(mpmath, name) for name in _CIRCULAR},
    **{form + name: getattr(mpmath, "a" + name) for name in _CIRCULAR for form in ("a", "arc", "ar")},
    **{"tg": mpmath.tan, "ctg": mpmath.cot, "cosec": mpmath.csc, "arctg": mpmath.atan, "sh": mpmath.sinh},
    **{"ln": _log, "log": _log, "lg": mpmath.log10, "exp": mpmath.exp, "sqrt": mpmath.sqrt, "cbrt": mpmath.cbrt},
    **{"erf": mpmath.erf, "erfc": mpmath.erfc, "erfi": mpmath.erfi, "Ai": mpmath.airyai, "Bi": mpmath.airybi},
    **{"sinc": mpmath.sinc, "abs": mpmath.fabs, "sgn": mpmath.sign, "sign": mpmath.sign, "Ei": mpmath.ei},
    **{
        "Si": mpmath.si,
        "Ci": mpmath.ci,
        "cis": mpmath.expj,
        "floor": mpmath.floor,
        "ceil": mpmath.ceil,
        "arg": mpmath.arg,
    },
}
CHEAP = {"sqrt", "abs", "sgn", "sign", "floor", "ceil"}
SLOW = {"erf", "erfc", "erfi", "Ai", "Bi", "Ei", "Si", "Ci"}
UNBOUNDED = CHEAP | {"ln", "log", "lg", "cbrt", "arg"}
INVERSES = {name: "a" + name for name in _CIRCULAR}


def _modulus(integral: Callable[..., Any]) -> Callable[..., Any]:
    """Return an elliptic integral as a function of its modulus k.

    Physics books write it so; mpmath takes m = k^2.
    """
    return lambda *arguments: integral(*arguments[:-1], arguments[-1] ** 2)


INDEXED: dict[str, Callable[..., Any]] = {
    **{"J": mpmath.besselj, "Y": mpmath.bessely, "I": mpmath.besseli, "K": mpmath.besselk, "N": mpmath.bessely},
    **{"P": mpmath.legendre, "H": mpmath.hermite, "L": mpmath.laguerre, "T": mpmath.chebyt, "U": mpmath.chebyu},
    **{"Q": lambda n, z: mpmath.legenq(n, 0, z), "Li": mpmath.polylog},
    "j": lambda n, z: mpmath.sqrt(mpmath.pi / (2 * z)) * mpmath.besselj(n + mpmath.mpf(1) / 2, z),
}
"""Functions of an order, which stands as a subscript, and an argument."""

LETTERED: dict[str, Callable[..., Any]] = {
    **{"K": _modulus(mpmath.ellipk), "E": _modulus(mpmath.ellipe), "F": _modulus(mpmath.ellipf)},
    **{"B": mpmath.beta, "W": mpmath.lambertw, "beta": mpmath.beta, "psi": mpmath.digamma},
}
"""Functions whose letter may as well be a factor: read as functions only where that makes two answers agree."""

SPECIAL: dict[str, Callable[..., Any]] = {"Gamma": mpmath.gamma, "zeta": mpmath.zeta}
OPAQUE = {"f", "F", "g", "G", "psi", "Psi", "phi", "Phi", "chi", "u", "theta", "Theta", "varphi", "W"}
"""Letters that name unknown functions where they always stand before a parenthesis."""

VECTORS = {"vec", "mathbf", "boldsymbol", "bm", "overrightarrow", "pmb"}
ACCENTS = VECTORS | set(
    listed("dot ddot bar overline hat widehat tilde widetilde mathcal mathbb underline mathscr mathfrak dddot")
)
UNIT_VECTORS = {"i": "i", "j": "j", "k": "k", "x": "i", "y": "j", "z": "k"}
UNWRAPPED = set(
    listed(
        "mathrm text operatorname mathit textrm mathsf textit rm displaystyle mbox textstyle textbf textnormal "
        "mathnormal bf it textsf scriptstyle"
    )
)
SPACING = {",", ";", ":", "!", " ", ">"} | set(
    listed(
        "quad qquad left right bigl bigr big Big Bigl Bigr bigg Bigg biggl biggr Biggl Biggr limits nolimits nonumber "
        "middle thinspace medspace"
    )
)
TOKEN = re.compile(
    r"\s+|(\d+(?:\.\d+)?(?:[eE][-+]?\d+(?![A-Za-z0-9.]))?|\d+\.(?!\d)|\.\d+)|\\([A-Za-z]+|.)|([A-Za-z])|(.)", re.DOTALL
)
ALIASES = {
    **{"\\lbrace": "\\{", "\\rbrace": "\\}", "\\lvert": "|", "\\rvert": "|", "\\vert": "|", "~": "", "\\mid": "|"},
    **{"\\|": "|", "\\Vert": "|", "\\lVert": "|", "\\rVert": "|", "\\ast": "*", "\\degree": "\\circ", "\\lbrack": "["},
    **{"\\rbrack": "]", "\\divided": "/", "\\div": "/", ":": "/", "\\colon": "/", "\\lparen": "(", "\\rparen": ")"},
    **{"\\over": "/", "\\textcirc": "\\circ", "\\textdegree": "\\circ", "\\cdotp": "\\cdot", "\\dag": "\\dagger"},
}
BREAKS = set(
    listed("end cdot times otimes oplus pm mp rangle rfloor rceil to rightarrow in le ge leq geq cup cap neq ne")
) | set(listed("circ infty choose"))
"""Commands that are no factor of a product."""

SPELLED = sorted([name for name in [*FUNCTIONS, *GREEK, "pi", "infty", "int", "sum"] if len(name) > 1], key=len)[::-1]
"""Names that mean the same without their backslash."""
