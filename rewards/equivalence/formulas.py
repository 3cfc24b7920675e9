"""Read TeX commands inside formulas; `read` is the entry point.

The commands are fractions, roots, accents, derivatives, and integrals, sums, products and limits with their bound
variables.
"""

from __future__ import annotations

import re

from rewards.equivalence import notation
from rewards.equivalence.latex_parser import CLOSING, Node, Reader
from rewards.equivalence.tokens import UnreadableFormula, tokens_of

MAX_DERIVATIVES = 4
_NONE = Node("none")
_BOUNDED = {"int": "integral", "oint": "integral", "sum": "sum", "prod": "product", "lim": "limit"}
_DERIVED = re.compile(r"(?:d|partial)(?:\^(\d))?(.*)", re.DOTALL)


class FormulaReader(Reader):
    """A reader with every command that formulas use."""

    def command(self, name: str) -> Node:
        """Read what a TeX command begins."""
        if name in notation.UNWRAPPED:
            return self.unwrapped()
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            return self.fraction()
        if name == "sqrt":
            return self.root()
        if name == "pi" and self.peek() != "_":
            return Node("pi")
        if name == "infty":
            return Node("infinity")
        if name in notation.FUNCTIONS and not (name == "arg" and self.peek() != "("):
            return self.function(name)
        if name in ("iint", "iiint"):
            self.tokens[self.at : self.at] = ["\\int"] * (len(name) - 3)
            return self.bounded("int")
        if name in _BOUNDED:
            return self.bounded(name)
        if name in notation.ACCENTS:
            return self.accented(name)
        if name in ("ket", "bra"):
            return self.node("symbol", text=f"{name} {self.raw()}")
        if name == "begin":
            return self.matrix()
        if name in ("binom", "dbinom", "tbinom"):
            return self.node("binomial", self.script(), self.script())
        if name == "partial" and self.peek() == "_":
            return self.indexed_derivative()
        if name == "not":
            return self.no("\\not")
        if name in ("max", "min") and self.peek() in ("(", "{", "\\{") and (several := self.extreme(name)):
            return several
        if name in notation.GREEK or name in ("max", "min"):
            return self.symbol(notation.VARIANTS.get(name, name))
        return self.no("\\" + name)

    def extreme(self, name: str) -> Node | None:
        r"""Read `\max(a, b)` or `\max\{a, b, c\}`; None where no list follows."""
        start, closing = self.at, CLOSING[self.peek()]
        end = self.closing(closing)
        entries, depth = [list[str]()], 0
        for token in self.tokens[start + 1 : end]:
            depth += (token in CLOSING) - (token in CLOSING.values())
            if token == "," and depth == 0:
                entries.append([])
            else:
                entries[-1].append(token)
        if len(entries) < 2:
            return None
        self.at = end + 1
        value, *others = [self.inside(entry).whole() for entry in entries]
        for other in others:
            value = self.node(name, value, other)
        return value

    def unwrapped(self) -> Node:
        r"""Read a braced name, such as that of `\mathrm`, as one function or symbol."""
        if self.peek() != "{":
            return self.atom()
        start = self.at
        word = self.raw()
        if word in notation.FUNCTIONS:
            return self.function(word)
        if not word:
            return self.atom()
        if not re.fullmatch(r"[A-Za-z]+(_\w+)?", word):
            self.at = start
            return self.atom()
        return self.symbol(word)

    def matrix(self) -> Node:
        """Read the rows of a matrix up to its end."""
        kind = self.raw()
        if kind.removeprefix("small").lstrip("pbB") not in ("matrix", "array"):
            return self.no("\\begin{" + kind + "}")
        if kind == "array" and self.peek() == "{":
            self.at = self.closing("}") + 1
        depth, entries, rows = 0, [list[str]()], [0]
        while (token := self.take()) != "\\end" or depth:
            depth += (token in ("{", "(", "\\begin")) - (token in ("}", ")", "\\end"))
            if depth == 0 and token in ("&", "\\\\"):
                entries.append([])
                rows[-1] += 1
                rows += [0] if token == "\\\\" else []
            else:
                entries[-1].append(token)
        self.raw()
        if not entries[-1] and rows[-1] == 0 and len(rows) > 1:
            rows.pop()  # a line break behind the last row
        else:
            rows[-1] += 1
        parts = [self.inside(entry).whole() for entry in entries[: sum(rows)]]
        if len(set(rows)) != 1:
            raise UnreadableFormula("rows of unequal length")
        return self.node("matrix", *parts, text=f"{len(rows)}x{rows[0]}")

    def fraction(self) -> Node:
        """Read a fraction, a derivative in Leibniz's notation included."""
        derivative = self.leibniz()
        if derivative is not None:
            return derivative
        above = self.group("{", "}") if self.peek() == "{" else self.digit()
        below = self.group("{", "}") if self.peek() == "{" else self.digit()
        return self.node("div", above, below)

    def digit(self) -> Node:
        r"""Read one digit or symbol of an unbraced fraction: \frac12 is one half."""
        token = self.take()
        if len(token) > 1 and token.isdigit():
            self.at -= 1
            self.tokens[self.at] = token[1:]
            token = token[0]
        if token.isdigit():
            return self.node("number", text=token)
        return self.command(token[1:]) if token.startswith("\\") else self.symbol(token)

    def leibniz(self) -> Node | None:
        r"""Read `\frac{dy}{dx}` and its relatives; None for an ordinary fraction.

        The function is named above, or it is what follows.
        """
        start = self.at
        if self.peek() != "{" or self.peek(1) not in ("d", "\\partial"):
            return None
        try:
            above, below = self.raw(), self.raw()
        except UnreadableFormula:
            self.at = start
            return None
        top, variables = _DERIVED.fullmatch(above), _variables(below)
        if not top or not variables or len(variables) != int(top.group(1) or 1):
            self.at = start
            return None
        inner = top.group(2)
        if inner:
            name = re.sub(r"\([A-Za-z, ]*\)$", "", inner)
            if logarithm := re.fullmatch(r"(ln|log)([A-Za-z](?:_\w+)?)", name):
                return derivative_of(self.node(logarithm[1], Node("symbol", (), logarithm[2])), variables)
            if re.fullmatch(r"\w+", name) and not (name.isdigit()):
                return derivative_of(Node("symbol", (), name), variables)
            if name.startswith("(") or not name.isidentifier():
                self.at = start
                return None
        if self.starts_atom(self.peek()):
            return derivative_of(self.power(), variables)
        self.at = start
        return None

    def indexed_derivative(self) -> Node:
        """Read a derivative that is written with an index."""
        self.take("_")
        variable = self.raw()
        order = 1
        if self.peek() == "^":
            self.take()
            token = self.raw()
            order = int(token) if token.isdigit() and len(token) == 1 else 9
        return derivative_of(self.power(), [variable] * order)

    def accented(self, name: str) -> Node:
        """Read an accented symbol."""
        if name in ("dot", "ddot", "dddot"):
            inner = FormulaReader(tokens_of(self.raw()), self.functions, self.bound).whole()
            while self.peek() == "_":
                self.take()
                inner = Node("symbol", (), f"{inner.text}_{self.raw()}")
            return derivative_of(inner, ["t"] * (len(name) - 2))
        start = self.at
        inner_name = self.raw()
        if name not in notation.VECTORS and self.at - start > 8:
            self.at = start
            return self.node(name, self.group("{", "}"))
        for accent in ("mathbf", "boldsymbol", "bm", "vec", "hat"):
            inner_name = inner_name.removeprefix(accent)
        if (
            name in ("hat", *notation.VECTORS)
            and inner_name in notation.UNIT_VECTORS
            and (name == "hat" or inner_name in "ijk")
        ):
            return Node("symbol", (), "hat " + notation.UNIT_VECTORS[inner_name])
        if name in ("mathcal", "mathbb", "mathscr", "mathfrak", "underline"):
            return self.symbol(f"{name} {inner_name}")
        if inner_name == "e" and self.peek() == "_" and self.peek(1).strip("{") in ("", *"xyz"):
            back = self.at
            self.take()
            if (axis := self.raw()) in ("x", "y", "z"):
                return Node("symbol", (), "hat " + notation.UNIT_VECTORS[axis])
            self.at = back
        name = "vec" if name in notation.VECTORS else notation.VARIANTS.get(name, name)
        return self.symbol(f"{name} {inner_name}")

    def root(self) -> Node:
        """Read a root with its degree."""
        index = self.group("[", "]") if self.peek() == "[" else None
        inside = self.group("{", "}") if self.peek() == "{" else self.digit_or_atom()
        return self.node("root", inside, index) if index else self.node("sqrt", inside)

    def digit_or_atom(self) -> Node:
        """Read one digit or one atom."""
        token = self.peek()
        return self.digit() if token.isdigit() and len(token) > 1 and "\\" in token else self.atom()

    def bounded(self, name: str) -> Node:
        """Read an integral, sum, product or limit: its bounds, its variable and its body."""
        lower: list[str] = []
        upper: Node = _NONE
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                lower = self.script_tokens()
            else:
                upper = self.inside(self.script_tokens()).whole()
        if name in ("int", "oint"):
            start = self.inside(lower).whole() if lower else _NONE
            return self.integral(start, upper)
        variable, begin = self.index(lower)
        bound = frozenset({variable})
        sub = self.inside(self.tokens[self.at :], bound)
        body = sub.product()
        self.at += sub.at
        self.nodes = sub.nodes
        return self.node(_BOUNDED[name], body, begin, upper, text=variable)

    def script_tokens(self) -> list[str]:
        """Read the tokens of a subscript or superscript."""
        if self.peek() != "{":
            return [self.take()]
        end = self.closing("}")
        inner = self.tokens[self.at + 1 : end]
        self.at = end + 1
        return inner

    def index(self, tokens: list[str]) -> tuple[str, Node]:
        r"""Read variable and lower bound in `n=1` or `x \to 0`; `none` for a lone name."""
        for mark in ("=", "\\to", "\\rightarrow"):
            if mark in tokens:
                cut = tokens.index(mark)
                name = self.inside(tokens[:cut], frozenset("i")).whole()
                rest = [token for token in tokens[cut + 1 :]]
                if rest[-2:] in (["^", "+"], ["^", "-"]):
                    rest = rest[:-2]
                if name.kind != "symbol":
                    raise UnreadableFormula("no index")
                return name.text, self.inside(rest).whole()
        return ("".join(tokens).lstrip("\\") or "i"), _NONE

    def integral(self, lower: Node, upper: Node) -> Node:
        """Read an integral up to its differential."""
        place, in_fraction = self.differential()
        variable_tokens = self.tokens[place + 1]
        variable = notation.VARIANTS.get(variable_tokens.lstrip("\\"), variable_tokens.lstrip("\\"))
        after = place + 2
        if after < len(self.tokens) and self.tokens[after] == "_" and not in_fraction:
            sub = self.inside(self.tokens[after + 1 :])
            variable += "_" + sub.raw()
            after += 1 + sub.at
        if in_fraction:
            self.tokens[place : place + 2] = [] if self.tokens[place - 1] != "{" or self.tokens[after] != "}" else ["1"]
            body = self.product()
        elif place == self.at:
            self.at = after
            body = self.product()
        else:
            sub = self.inside(self.tokens[self.at : place], frozenset({variable}))
            body = sub.whole()
            self.nodes = sub.nodes
            self.at = after
        return self.node("integral", body, lower, upper, text=variable)

    def differential(self) -> tuple[int, bool]:
        """Return where the `d` of the variable stands, and whether in a numerator."""
        depth, open_integrals, fallback = 0, 0, -1
        for index in range(self.at, len(self.tokens) - 1):
            token, after = self.tokens[index], self.tokens[index + 1]
            depth += (token in CLOSING) - (token in CLOSING.values())
            if depth < 0:
                break
            if token in ("\\int", "\\iint", "\\oint"):
                open_integrals += 1
            if token == "d" and (after.isalpha() or after[1:] in notation.GREEK):
                if depth == 0 and open_integrals == 0:
                    return index, False
                if depth == 0:
                    open_integrals -= 1
                elif fallback < 0 and open_integrals == 0:
                    fallback = index
        if fallback < 0:
            raise UnreadableFormula("no differential")
        return fallback, True


def _variables(below: str) -> list[str] | None:
    """Return the variables in `dx`, `dx^2` or `partialxpartialy`; None for others."""
    found: list[str] = []
    pieces = re.split(r"partial" if "partial" in below else r"d", below)
    if pieces[0]:
        return None
    for piece in pieces[1:]:
        match = re.fullmatch(r"([A-Za-z]+(?:_\w+)?)(?:\^(\d))?", piece)
        if not match:
            return None
        found += [match.group(1)] * int(match.group(2) or 1)
    return sorted(found)


def derivative_of(body: Node, variables: list[str]) -> Node:
    """Return the derivative of a tree.

    A symbol's derivative is a symbol of its own, `y#x`, with one letter per variable; a formula's is worked out.
    """
    if body.kind == "symbol" or (body.kind == "apply" and all(part.kind == "symbol" for part in body.parts)):
        known = body.text.partition("#")[2]
        marks = sorted([*known.split(","), *variables]) if known else variables
        return Node("symbol", (), body.text.partition("#")[0] + "#" + ",".join(marks))
    for variable in variables:
        if not _depends(body, variable):
            body = _as_function(body, variable)
        body = Node("derivative", (body,), variable)
    if _derivatives(body) > MAX_DERIVATIVES:
        raise UnreadableFormula("too many derivatives")
    return body


def _derivatives(tree: Node) -> int:
    """Return how many derivatives stand inside one another."""
    return max(map(_derivatives, tree.parts), default=0) + (tree.kind == "derivative")


def _depends(tree: Node, variable: str) -> bool:
    return (tree.kind == "symbol" and tree.text == variable) or any(_depends(part, variable) for part in tree.parts)


def _as_function(tree: Node, variable: str) -> Node:
    """Return a tree whose symbols are unknown functions of a variable, as the Z of `d ln Z / d beta` is."""
    if tree.kind == "symbol":
        return Node("apply", (Node("symbol", (), variable),), tree.text)
    return Node(tree.kind, tuple(_as_function(part, variable) for part in tree.parts), tree.text)


def read(text: str, functions: frozenset[str] = frozenset()) -> Node:
    """Return the tree of a formula.

    Args:
        text: A formula in TeX.
        functions: Letters to read as functions.

    Raises:
        UnreadableFormula: Where the text is no formula.
    """
    try:
        return FormulaReader(tokens_of(text), functions).whole()
    except RecursionError as error:
        raise UnreadableFormula("too deep") from error
    except IndexError as error:
        raise UnreadableFormula("cut off") from error
