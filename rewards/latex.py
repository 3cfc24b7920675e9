"""Formulas as physicists write them, read without evaluating anybody's code and compared by their values.

A recursive-descent reader turns LaTeX (or plain text) into a small tree; the tree is evaluated with 50-digit
arithmetic at random positive values of its symbols. Case matters: `M` and `m` are different masses. Every symbol is
positive, so that sqrt(a^2 b^2) is a b, as a physicist means it. Nothing here simplifies, so nothing here can run
away: size, depth, exponents and factorials are capped, and what cannot be read raises `Unreadable` for somebody else
to try.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards import notation

MAX_CHARS, MAX_NODES, MAX_DEPTH = 2_000, 800, 60


class Unreadable(Exception):
    """The text is no formula this reader knows, or too large to evaluate."""


@dataclass(frozen=True)
class Node:
    """A tree node: `kind` is number, symbol, or the name of an operation on `parts`."""

    kind: str
    parts: tuple[Node, ...] = ()
    text: str = ""


def tokens_of(text: str) -> list[str]:
    """Tokens: numbers, `\\command` names with their backslash, single letters and marks."""
    if len(text) > MAX_CHARS:
        raise Unreadable("too long")
    text = re.sub(r"(?<=\d)(?:\{,\}|,)(?=\d{3}(?!\d))", "", text)
    for char, command in notation.UNICODE_LETTERS.items():
        text = text.replace(char, f"\\{command} ")
    for char, command in notation.UNICODE_SIGNS.items():
        text = text.replace(char, command)
    text = re.sub(r"√\s*\(", r"\\sqrt(", text)
    text = re.sub(r"√\s*(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", lambda m: "^{" + m.group().translate(notation.SUPERSCRIPTS) + "}", text)
    text = re.sub(r"[₀-₉]+", lambda m: "_{" + m.group().translate(notation.SUBSCRIPTS) + "}", text)
    text = re.sub(r"(?<![A-Za-z\\_{])(" + "|".join(notation.SPELLED) + r")(?![A-Za-z])", r"\\\1 ", text).replace(
        "**", "^"
    )
    found: list[str] = []
    for number, command, letter, mark in notation.TOKEN.findall(text):
        token = number or ("\\" + command if command else "") or letter or mark
        if token and command not in notation.SPACING:
            found.append(
                {"\\lbrace": "\\{", "\\rbrace": "\\}", "\\lvert": "|", "\\rvert": "|", "\\vert": "|", "~": ""}.get(
                    token, token
                )
            )
    return [token for token in found if token and token != "$"]


class _Reader:
    """Grammar: sum of products of powers of atoms, with implicit multiplication."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at, self.nodes, self.depth, self.bars = tokens, 0, 0, 0, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise Unreadable(f"expected {expected or 'more'}, got {token or 'the end'}")
        self.at += 1
        return token

    def node(self, kind: str, *parts: Node, text: str = "") -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Unreadable("too many terms")
        return Node(kind, parts, text)

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")
        sign = self.take() if self.peek() in ("+", "-") else "+"
        total = self.product()
        total = self.node("neg", total) if sign == "-" else total
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self.product()
            total = self.node("add", total, self.node("neg", term) if sign == "-" else term)
        self.depth -= 1
        return total

    def product(self, argument: bool = False) -> Node:
        total = self.power()
        while token := self.peek():
            if token in ("*", "\\cdot", "\\times", "\\ast"):
                self.take()
                sign = self.take() if self.peek() == "-" else ""
                factor = self.power()
                total = self.node("mul", total, self.node("neg", factor) if sign else factor)
            elif (token in ("/", "\\div") and not argument) or (token == "/" and argument):
                self.take()
                total = self.node("div", total, self.power())
            elif self.starts_atom(token) and not (argument and self.starts_function(token)):
                total = self.node("mul", total, self.power())
            else:
                break
        return total

    def starts_function(self, token: str) -> bool:
        return token.startswith("\\") and token[1:] in notation.FUNCTIONS

    def starts_atom(self, token: str) -> bool:
        if token == "|":
            return self.bars == 0
        if token.startswith("\\"):
            return token[1:].isalpha() and token not in (
                "\\cdot",
                "\\times",
                "\\div",
                "\\pm",
                "\\mp",
                "\\rangle",
                "\\rfloor",
            )
        return token in "({[" or token[0].isalnum() or token[0] == "."

    def power(self) -> Node:
        base = self.atom()
        while self.peek() in ("^", "!", "'"):
            token = self.take()
            if token == "!":
                base = self.node("factorial", base)
            elif token == "'":
                base = self.node("symbol", text=f"{base.text}'") if base.kind == "symbol" else self._no(token)
            else:
                base = self.node("pow", base, self.script())
        return base

    def _no(self, token: str) -> Node:
        raise Unreadable(f"unexpected {token}")

    def script(self) -> Node:
        """An exponent: a braced sum, a signed atom, or one atom; of a bare number only its first digit, as TeX reads
        it.
        """
        token = self.peek()
        if token == "{":
            return self.group("{", "}")
        if token in ("-", "+"):
            self.take()
            inner = self.atom()
            return self.node("neg", inner) if token == "-" else inner
        return self.atom()

    def group(self, opening: str, closing: str) -> Node:
        self.take(opening)
        bars, self.bars = self.bars, 0
        inner = self.sum()
        self.bars = bars
        self.take(closing)
        return inner

    def atom(self) -> Node:
        token = self.peek()
        if token in ("(", "[", "{", "\\{"):
            return self.group(token, {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}[token])
        if token == "|":
            self.take()
            self.bars += 1
            inner = self.sum()
            self.bars -= 1
            self.take("|")
            return self.node("abs", inner)
        self.take()
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return self.node("number", text=token)
        if token.startswith("\\"):
            return self.command(token[1:])
        if token.isalpha():
            return self.symbol(token)
        return self._no(token)

    def raw(self) -> str:
        """The text of one group or token, without spaces and font commands: the name of a subscript or of an accented
        symbol.
        """
        if self.peek() != "{":
            token = self.take()
            return self.raw() if token[1:] in notation.UNWRAPPED else token.lstrip("\\")
        depth = 0
        parts: list[str] = []
        while True:
            token = self.take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                return "".join(parts)
            if token not in "{}" and token[1:] not in notation.UNWRAPPED:
                parts.append(token.lstrip("\\"))

    def symbol(self, name: str) -> Node:
        if self.peek() == "_":
            self.take()
            name += "_" + self.raw()
        special = name.partition("_")[0]
        if self.peek() == "(" and special in notation.SPECIAL and ("_" in name) == (special in notation.INDEXED):
            return self.special(special, name.partition("_")[2])
        if name == "e" or (name == "i" and self.peek() != "_"):
            return self.node("e" if name == "e" else "i")
        return self.node("symbol", text=name)

    def special(self, name: str, order: str) -> Node:
        arguments = [_Reader(tokens_of(order)).whole()] if order else []
        self.take("(")
        arguments.append(self.sum())
        while self.peek() == ",":
            self.take()
            arguments.append(self.sum())
        self.take(")")
        return self.node("special", *arguments, text=name)

    def command(self, name: str) -> Node:
        if name in notation.UNWRAPPED:
            if self.peek() != "{":
                return self.atom()
            word = self.raw()
            return self.function(word) if word in notation.FUNCTIONS else self.symbol(word)
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            return self.fraction()
        if name == "sqrt":
            return self.root()
        if name == "pi":
            return self.node("pi")
        if name in notation.FUNCTIONS:
            return self.function(name)
        if name in notation.ACCENTS:
            return self.symbol(f"{'vec' if name in notation.VECTORS else name} {self.raw()}")
        if name == "binom":
            return self.node("binomial", self.group("{", "}"), self.group("{", "}"))
        if name in notation.GREEK:
            return self.symbol(
                {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho"}.get(name, name)
            )
        return self._no("\\" + name)

    def fraction(self) -> Node:
        derivative = self._derivative()
        if derivative is not None:
            return derivative
        above = self.group("{", "}") if self.peek() == "{" else self._digit()
        below = self.group("{", "}") if self.peek() == "{" else self._digit()
        return self.node("div", above, below)

    def _digit(self) -> Node:
        """One digit of an unbraced fraction: \\frac12 is one half."""
        token = self.take()
        if len(token) > 1 and token.isdigit():
            self.at -= 1
            self.tokens[self.at] = token[1:]
            token = token[0]
        return self.node("number", text=token) if token.isdigit() else self.symbol(token)

    def _derivative(self) -> Node | None:
        """`\\frac{dy}{dx}` and its higher and partial forms are one opaque symbol, not a quotient in which the d
        cancels.
        """
        start = self.at
        if self.peek() != "{":
            return None
        try:
            above, below = self.raw(), self.raw()
        except Unreadable:
            self.at = start
            return None
        top = re.fullmatch(r"(?:d|partial)(?:\^(\d))?(.+)", above)
        if top and re.match(r"(?:d|partial)\w", below):
            return self.node("symbol", text=top.group(2) + "'" * int(top.group(1) or 1))
        self.at = start
        return None

    def root(self) -> Node:
        index = self.group("[", "]") if self.peek() == "[" else None
        inside = self.group("{", "}") if self.peek() == "{" else self.atom()
        return self.node("root", inside, index) if index else self.node("sqrt", inside)

    def function(self, name: str) -> Node:
        if name == "log" and self.peek() == "_":
            self.take()
            base = self.script()
            return self.node("div", self.applied("ln"), self.node("ln", base))
        exponent = None
        if self.peek() == "^":
            self.take()
            exponent = self.script()
            if name in notation.INVERSES and exponent == Node("neg", (Node("number", text="1"),)):
                name, exponent = notation.INVERSES[name], None
        value = self.applied(name)
        return self.node("pow", value, exponent) if exponent else value

    def applied(self, name: str) -> Node:
        if self.peek() in ("(", "[", "{"):
            opening = self.peek()
            return self.node(name, self.group(opening, {"(": ")", "[": "]", "{": "}"}[opening]))
        sign = self.take() if self.peek() == "-" else ""
        argument = self.power() if self.starts_function(self.peek()) else self.product(argument=True)
        return self.node(name, self.node("neg", argument) if sign else argument)

    def whole(self) -> Node:
        tree = self.sum()
        if self.at != len(self.tokens):
            raise Unreadable(f"left over: {self.peek()}")
        return tree


def read(text: str) -> Node:
    """The tree of a formula. Raises `Unreadable`."""
    try:
        return _Reader(tokens_of(text)).whole()
    except RecursionError as error:
        raise Unreadable("too deep") from error
