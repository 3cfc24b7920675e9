"""Read formulas into a small tree without evaluating anybody's code.

A recursive-descent reader: sums of products of powers of atoms, with implicit multiplication. Case matters: `M` and
`m` are different masses. Nothing here simplifies, so nothing here can run away: size and depth are capped, and what
cannot be read raises `UnreadableFormula`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rewards.equivalence import notation
from rewards.equivalence.tokens import UnreadableFormula, tokens_of

MAX_NODES, MAX_DEPTH = 1_500, 60
CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "\\langle": "\\rangle", "\\lfloor": "\\rfloor"} | {
    "\\lceil": "\\rceil"
}
TIGHT = "tight slash"
"""Put among the `functions`, makes a slash divide by the whole product behind it."""

DERIVED = ("f", "g", "h", "y", "u")
"""Letters on which a raised (n) counts derivatives; on others it is part of the name."""

_NOTHING = frozenset[str]()


@dataclass(frozen=True)
class Node:
    """A tree node: `kind` is number, symbol, or the name of an operation on `parts`.

    `text` its name or variable.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    text: str = ""


class Reader:
    """A reader of one formula's tokens.

    Args:
        tokens: The tokens.
        functions: Letters to be read as functions where a parenthesis follows.
        bound: Variables of the sums around, in which `i` is no imaginary unit.
    """

    def __init__(self, tokens: list[str], functions: frozenset[str] = _NOTHING, bound: frozenset[str] = _NOTHING):
        self.tokens, self.at, self.nodes, self.depth, self.bars = tokens, 0, 0, 0, 0
        self.functions, self.bound = functions, bound

    def peek(self, ahead: int = 0) -> str:
        """Return a token ahead without taking it."""
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        """Take the next token, which must be the expected one where one is given."""
        token = self.peek()
        if not token or (expected and token != expected):
            raise UnreadableFormula(f"expected {expected or 'more'}, got {token or 'the end'}")
        self.at += 1
        return token

    def node(self, kind: str, *parts: Node, text: str = "") -> Node:
        """Return a new node of the tree, counted against `MAX_NODES`."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise UnreadableFormula("too many terms")
        return Node(kind, parts, text)

    def no(self, token: str) -> Node:
        """Raise `UnreadableFormula` for a token that cannot stand here."""
        raise UnreadableFormula(f"unexpected {token}")

    def inside(self, tokens: list[str], bound: frozenset[str] = _NOTHING) -> Self:
        """Return a reader of a part of this formula, under the same limits."""
        if self.depth + 1 > MAX_DEPTH // 2:
            raise UnreadableFormula("too deep")
        reader = type(self)(tokens, self.functions, self.bound | bound)
        reader.depth, reader.nodes = self.depth + 2, self.nodes
        return reader

    def whole(self) -> Node:
        """Read all tokens as one formula."""
        tree = self.sum()
        if self.at != len(self.tokens):
            raise UnreadableFormula(f"left over: {self.peek()}")
        return tree

    def sum(self) -> Node:
        """Read terms joined by plus and minus."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableFormula("too deep")
        total = self.signed()
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self.signed()
            total = self.node("add", total, self.node("neg", term) if sign == "-" else term)
        self.depth -= 1
        return total

    def signed(self) -> Node:
        """Read a term with its signs."""
        negative = False
        while self.peek() in ("+", "-"):
            negative ^= self.take() == "-"
        term = self.product()
        return self.node("neg", term) if negative else term

    def product(self, argument: bool = False) -> Node:
        """Read factors, joined by signs or by nothing."""
        total = self.power()
        while token := self.peek():
            if token in ("*", "\\cdot", "\\times", "\\wedge", "\\otimes"):
                if argument:
                    break  # a written product sign ends the argument: a sine of x times y is no sine of xy
                self.take()
                negative = self.take() if self.peek() in ("-", "+") else ""
                factor = self.power()
                factor = self.node("neg", factor) if negative == "-" else factor
                crossed = token in ("\\times", "\\wedge") and (
                    (is_vector(total) and is_vector(factor)) or is_nabla(total)
                )
                dotted = token == "\\cdot" and is_unit_vector(total) and is_unit_vector(factor)
                kind = "cross" if crossed else "dot" if dotted else "tensor" if token == "\\otimes" else "mul"
                total = self.node(kind, total, factor)
            elif token == "/":
                self.take()
                negative = self.take() if self.peek() == "-" else ""
                quotient = self.node("div", total, self.divisor())
                total = self.node("neg", quotient) if negative else quotient
            elif self.starts_atom(token) and not (argument and (self.starts_function(token) or token == "|")):
                total = self.node("mul", total, self.power())
            else:
                break
        return total

    def divisor(self) -> Node:
        """Read what a slash divides by.

        That is one power, or under the reading `tight` the whole product of symbols behind it, as in `E/k_BT`.
        """
        below = self.power()
        if TIGHT in self.functions and below.kind != "number":
            while self.starts_atom(self.peek()) and not self.starts_function(self.peek()):
                below = self.node("mul", below, self.power())
        return below

    def starts_function(self, token: str) -> bool:
        """Return whether a token is the name of a function."""
        return token.startswith("\\") and token[1:] in notation.FUNCTIONS

    def starts_atom(self, token: str) -> bool:
        """Return whether an atom can begin with a token."""
        if token == "|":
            return self.bars == 0
        if token.startswith("\\"):
            return token in CLOSING or (token[1:].isalpha() and token[1:] not in notation.BREAKS)
        return token in "({[" or token[0].isalnum() or token[0] == "."

    def power(self) -> Node:
        """Read an atom with its exponents."""
        base = self.atom()
        while self.peek() in ("^", "!", "'", "\\%", "%", "\\circ", "\\prime"):
            base = self.postfix(base, self.take())
        return base

    def postfix(self, base: Node, token: str) -> Node:
        """Read what follows an atom: factorials, primes, percent signs."""
        if token == "!":
            double = self.peek() == "!"
            if double:
                self.take()
            return self.node("factorial2" if double else "factorial", base)
        if token in ("'", "\\prime"):
            return self.primed(base, 1)
        if token in ("%", "\\%"):
            return self.node("div", base, self.node("number", text="100"))
        if token == "\\circ":
            return self.node("degree", base)
        mark = self.peek(1) if self.peek() == "{" and self.peek(2) == "}" else self.peek()
        if mark in ("\\circ", "\\prime", "*", "\\dagger", "+", "-", "'", "\\ast") and (
            mark == self.peek(1) or mark in ("\\circ", "\\prime", "*", "\\dagger")
        ):
            self.at += 3 if self.peek() == "{" else 1
            if mark == "\\circ":
                return self.node("degree", base)
            if mark in ("\\prime", "'"):
                return self.primed(base, 1)
            if mark == "\\dagger" and base.kind != "symbol":
                return self.node("dagger", base)
            return self.node("symbol", text=base.text + mark) if base.kind == "symbol" else self.no(mark)
        if self.peek() == "{" and all(t in ("\\prime", "'") for t in self.tokens[self.at + 1 : self.closing("}")]):
            count = self.closing("}") - self.at - 1
            self.at += count + 2
            return self.primed(base, count)
        around = [self.peek(), self.peek(1), self.peek(3), self.peek(4)]
        if around == ["{", "(", ")", "}"] and base.kind == "symbol" and self.peek(2).isdigit():
            order = self.peek(2)
            self.at += 5
            if base.text in DERIVED and len(order) == 1:
                return self.primed(base, int(order))
            return Node("symbol", (), f"{base.text}^({order})")
        return self.node("pow", base, self.script())

    def closing(self, mark: str) -> int:
        """Return where the group that begins here ends.

        Raises:
            UnreadableFormula: Where it never does.
        """
        opening, depth = self.peek(), 0
        for index in range(self.at, len(self.tokens)):
            depth += (self.tokens[index] == opening) - (self.tokens[index] == mark)
            if depth == 0:
                return index
        raise UnreadableFormula("never closed")

    def primed(self, base: Node, count: int) -> Node:
        """Read a derivative in Lagrange's notation, with its argument if one follows."""
        if base.kind != "symbol":
            return self.no("'")
        name = base.text + ("?" * count if "#" in base.text else "#" + "?" * count)
        return (
            self.applied_letter(name)
            if self.peek() == "(" and base.text in self.functions
            else Node("symbol", (), name)
        )

    def script(self) -> Node:
        """Return an exponent: a braced sum, a signed atom, or one atom."""
        token = self.peek()
        if token == "{":
            return self.group("{", "}")
        if token in ("-", "+"):
            self.take()
            inner = self.atom()
            return self.node("neg", inner) if token == "-" else inner
        return self.atom()

    def group(self, opening: str, closing: str) -> Node:
        """Read a braced group."""
        self.take(opening)
        bars, self.bars = self.bars, 0
        inner = self.sum()
        self.bars = bars
        self.take(closing)
        return inner

    def atom(self) -> Node:
        """Read the smallest unit: a number, a symbol, a group, a command."""
        token = self.peek()
        if token in CLOSING:
            inner = self.group(token, CLOSING[token])
            if token == "\\langle" and inner.kind == "symbol":
                return Node("symbol", (), f"bar {inner.text}")
            return {"\\lfloor": self.node("floor", inner), "\\lceil": self.node("ceil", inner)}.get(token, inner)
        if token == "|":
            return self.absolute()
        self.take()
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return self.mixed(self.node("number", text=token.rstrip(".")))
        if token.startswith("\\"):
            return self.command(token[1:])
        if token.isalpha():
            return self.symbol(token)
        return self.no(token)

    def command(self, name: str) -> Node:
        """Read what a TeX command begins; defined by `rewards.equivalence.formulas`."""
        return self.no("\\" + name)

    def absolute(self) -> Node:
        """Read what stands between bars."""
        self.take("|")
        self.bars += 1
        inner = self.sum()
        self.bars -= 1
        self.take("|")
        return self.node("abs", inner)

    def mixed(self, whole: Node) -> Node:
        r"""Read a mixed number such as `6\frac{1}{64}` or `6 1/64`."""
        ahead = self.tokens[self.at : self.at + 8]
        if not whole.text.isdigit():
            return whole
        if ahead[:1] and ahead[0] in ("\\frac", "\\dfrac", "\\tfrac"):
            plain = [t for t in ahead[1:7] if t not in "{}"]
            if ahead[1:7:1] and len(ahead) >= 7 and [ahead[1], ahead[3], ahead[4], ahead[6]] == ["{", "}", "{", "}"]:
                above, below = ahead[2], ahead[5]
                taken = 7
            elif plain and len(ahead[1]) == 2 and ahead[1].isdigit():
                above, below, taken = ahead[1][0], ahead[1][1], 2
            else:
                return whole
        elif len(ahead) >= 3 and ahead[1] == "/" and ahead[0].isdigit():
            above, below, taken = ahead[0], ahead[2], 3
        else:
            return whole
        if not (above.isdigit() and below.isdigit() and 0 < int(above[:9]) < int(below[:9])):
            return whole
        self.at += taken
        part = self.node("div", self.node("number", text=above), self.node("number", text=below))
        return self.node("add", whole, part)

    def raw(self) -> str:
        """Return the text of one group or token, without spaces and font commands.

        It is the name of a subscript or of an accented symbol.
        """
        if self.peek() != "{":
            token = self.take()
            return (
                self.raw() if token[1:] in notation.UNWRAPPED else notation.VARIANTS.get(token[1:], token.lstrip("\\"))
            )
        depth = 0
        parts: list[str] = []
        while True:
            token = self.take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                return "".join(parts)
            if token not in "{}," and token[1:] not in notation.UNWRAPPED:
                parts.append(notation.VARIANTS.get(token[1:], token.lstrip("\\")) if token[0] == "\\" else token)

    def symbol(self, name: str) -> Node:
        """Read a letter with its subscript: a variable, an applied function, a constant."""
        self.nodes += 1
        marks = 0
        while self.peek() == "'":
            self.take()
            marks += 1
        if self.peek() == "_":
            self.take()
            name += "_" + self.raw()
        letter, _, index = name.partition("_")
        if index in self.bound and index:
            return self.node("apply", Node("symbol", (), index), text=letter)
        if self.peek() == "(" and not marks:
            if letter in notation.INDEXED and index:
                return self.special(letter, index)
            if name in notation.SPECIAL or (name in notation.LETTERED and "*" + name in self.functions):
                return self.special(name, "")
            if name in self.functions or name == "delta":
                return self.applied_letter(name)
            if [self.peek(1), self.peek(2)] == ["0", ")"]:
                return self.applied_letter(name)  # a value at zero, and no product with it
        if name == "e" or (name == "i" and "i" not in self.bound):
            return Node(name)
        symbol = Node("symbol", (), name)
        return self.primed(symbol, marks) if marks else symbol

    def arguments(self) -> list[Node]:
        """Read the arguments of a function in their parentheses."""
        self.take("(")
        found = [self.sum()]
        while self.peek() in (",", ";", "|"):
            self.take()
            found.append(self.sum())
        self.take(")")
        return found

    def applied_letter(self, name: str) -> Node:
        """Read a letter that is applied to what stands in parentheses."""
        return self.node("delta" if name == "delta" else "apply", *self.arguments(), text=name)

    def special(self, name: str, order: str) -> Node:
        """Read a special function with its order, such as `J_n(x)` or `erf(x)`."""
        orders = [self.inside(tokens_of(order)).whole()] if order else []
        arguments = self.arguments()
        return self.node("special" if not order else "indexed", *orders, *arguments, text=name)

    def function(self, name: str) -> Node:
        """Return a named function, with its base or power, applied to what follows."""
        base = exponent = None
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                base = self.script()
            else:
                exponent = self.script()
        if exponent == Node("neg", (Node("number", text="1"),)) and name in notation.INVERSES:
            name, exponent = notation.INVERSES[name], None
        if base is not None and name != "log":
            return self.no("_")
        value = self.node("div", self.applied("ln"), self.node("ln", base)) if base else self.applied(name)
        return self.node("pow", value, exponent) if exponent else value

    def applied(self, name: str) -> Node:
        """Read the argument of a function, and return the function applied to it."""
        if self.peek() in ("(", "[", "{", "\\{"):
            opening = self.peek()
            value = self.node(name, self.group(opening, CLOSING[opening]))
            if opening == "(" and self.peek() == "^" and name not in ("exp", "ln", "log"):
                self.take()
                return self.node("pow", value, self.script())
            return value
        negative = self.take() if self.peek() == "-" else ""
        argument = self.power() if self.starts_function(self.peek()) else self.product(argument=True)
        return self.node(name, self.node("neg", argument) if negative else argument)


def is_nabla(tree: Node) -> bool:
    """Return whether a tree is the operator nabla, of which a cross product is a curl."""
    return tree.kind == "symbol" and _undressed(tree.text) == "nabla"


def _undressed(name: str) -> str:
    return name.removeprefix("vec ").lstrip("\\")


def is_unit_vector(tree: Node) -> bool:
    """Return whether a tree is a letter with a hat, whose scalar product commutes."""
    return tree.kind == "symbol" and tree.text.startswith("hat ")


def is_vector(tree: Node) -> bool:
    """Return whether a tree names a vector.

    So that a cross between two of them does not commute.
    """
    if tree.kind == "symbol":
        return tree.text.startswith(("vec ", "hat ", "nabla"))
    return tree.kind in ("mul", "add", "neg", "cross", "div") and any(map(is_vector, tree.parts))
