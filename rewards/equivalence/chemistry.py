r"""Read chemistry: species, isotopes, reactions, electron configurations, term symbols, hybridizations.

Each spelling of one thing (`CO_2`, `\mathrm{CO_2}`, `\ce{CO2}`, `CO2`) gives one typed value, and two answers agree if
their values are equal. What is no chemistry gives None, so formulas such as `V_1 I_1` stay algebra. The elements come
from RDKit's periodic table.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from rewards.equivalence.notation import listed

MAX_CHARS = 400
_WRAP = re.compile(r"\\(?:ce|mathrm|text|textrm|mathbf|mathit|operatorname|mbox|rm|chem|textbf)(?![a-z])\s*")
_SPACE = re.compile(r"\\[,;:! ]|\\q?quad(?![a-z])|[~$]")
_ARROW = re.compile(
    r"\\x(?:long)?equal\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}|\\(?:overset|stackrel)\s*\{[^{}]*\}\s*\{\s*(?:=+|\\(?:long)?rightarrow|\\to)\s*\}|"
    r"\\x(?:right|left)(?:left)?arrow\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}|\\(?:long)?(?:left)?rightarrow(?![a-z])|"
    r"\\(?:Long|long)?(?:l|L)?(?:eft)?(?:r|R)ight(?:arrow|leftharpoons)(?![a-z])|\\(?:rightleftarrows|leftrightharpoons|to)(?![a-z])|"
    r"<?(?:=|-)+>|[→⟶⇌⇄⟷↔]"
)
_ESCAPES = re.compile(r"\\(?:up|down)arrow(?![a-z])|[↑↓]")
"""The arrows of a gas and of a precipitate."""
_BARE_PARTICLE = re.compile(r"\s*(\d*)\s*([np])\s*")
_BARE_PARTICLES = {
    **{"n": "{}^1_0n", "neutron": "{}^1_0n", "p": "{}^1_1p", "proton": "{}^1_1p", "electron": "e^-", "positron": "e^+"},
    **{"alpha particle": "{}^4_2He"},
}
_NUCLEAR = re.compile(r"\s*(?:\{\s*\})?\s*[\^_]\s*\{?\s*[-+]?\d")
_ALKYL = re.compile(r"^CH3((?:CH2)+)(?=[A-Z(])")
_STATE = re.compile(r"\s*_?\{?\(\s*(s|l|g|aq)\s*\)\}?\s*$")
_SUBSHELL = re.compile(r"(\d)\s*([spdfg])\s*(?:\^\s*\{\s*(\d{1,2})\s*\}|\^?\s*(\d{1,2}?)(?=\s*\d[spdfg]|\D|$))")
_CORE = re.compile(r"^\s*\[\s*(He|Ne|Ar|Kr|Xe|Rn)\s*\]\s*")
_TERM = re.compile(
    r"(?:\{\s*\})?\s*\^\s*\{?\s*(\d)\s*\}?\s*\{?\s*([SPDFGHI])\s*\}?(\^\s*\{?\s*(?:o|\\circ)\s*\}?)?\s*_\s*\{?\s*"
    r"(?:\\frac\s*\{?\s*(\d+)\s*\}?\s*\{?\s*(\d)\s*\}?|(\d+)\s*/\s*(\d)|(\d+))\s*\}?(\^\s*\{?\s*(?:o|\\circ)\s*\}?)?"
)
_HYBRID = re.compile(r"(?:(d)\s*(?:\^?\s*\{?(\d)\}?)?\s*)?sp\s*(?:\^?\s*\{?(\d)\}?)?\s*(?:d\s*(?:\^?\s*\{?(\d)\}?)?)?")
_SHELL_ORDER = listed("1s2 2s2 2p6 3s2 3p6 4s2 3d10 4p6 5s2 4d10 5p6 6s2 4f14 5d10 6p6")
_CORE_SHELLS = {"He": 1, "Ne": 3, "Ar": 5, "Kr": 8, "Xe": 11, "Rn": 15}
_PARTICLES = {
    **{"alpha": ("He", 4, 2), "n": ("n", 1, 0), "p": ("H", 1, 1), "gamma": ("gamma", 0, 0), "D": ("H", 2, 1)},
    **{"nu": ("nu", 0, 0), "bar nu": ("bar nu", 0, 0)},
}
_COEFFICIENT = re.compile(r"\s*(?:\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d+)\s*/\s*(\d+)|(\d+(?:\.\d+)?))\s*")
_NUCLIDE_NAME = re.compile(r"([A-Z][a-z]?|[A-Za-z]{3,13})\s*-\s*(\d{1,3})")
_PREFIX = re.compile(
    r"(?:\{\s*\})?\s*((?:[\^_]\s*(?:\{\s*[-+]?\d+\s*\}|[-+]?\d+)\s*){1,2})(?=\s*\{?\s*(?:[A-Z]|n|p|e|\\))"
)
_CHARGE = re.compile(r"\^\s*(?:\{\s*(\d*)\s*([-+])\s*\}|\{\s*([-+])\s*(\d*)\s*\}|(\d*)([-+]))\s*$")
_BARE_CHARGE = re.compile(r"(?<=[A-Za-z\d)\]}])(\d?)([-+])$")
_ATOM = re.compile(r"\s*(?:([A-Z][a-z]?)|([(\[])|([)\]]))\s*(?:_\s*\{?\s*(\d+)\s*\}?|(\d+))?")


@dataclass(frozen=True)
class Species:
    """An atom, molecule, ion or particle.

    Attributes:
        atoms: Elements with their numbers, in the written order.
        charge: In elementary charges; None where the text of a particle leaves it open.
        mass: Mass number, where stated.
        state: s, l, g or aq, where stated.
        decisive: Whether the text can be nothing but chemistry, and no product of symbols.
    """

    atoms: tuple[tuple[str, int], ...]
    charge: int = 0
    mass: int | None = None
    state: str = field(default="", compare=False)
    decisive: bool = field(default=False, compare=False)

    def agrees(self, other: Species) -> bool:
        """Return whether two species are the same substance."""
        if self.charge != other.charge or self.mass != other.mass:
            return False
        if self.state and other.state and self.state != other.state:
            return False
        if self.atoms == other.atoms:
            return True
        counts = _counted(self.atoms), _counted(other.atoms)
        # The order of a molecular formula is free, `C_2H_6O`; that of a structural one is not: HCN is not HNC.
        plain = all(len(one) == len(atoms) for one, atoms in zip(counts, (self.atoms, other.atoms), strict=True))
        return counts[0] == counts[1] and plain and (len(counts[0]) <= 2 or sum(counts[0].values()) >= 6)


def same_chemistry(first: str, second: str) -> bool | None:
    """Compare two answers as chemistry.

    Returns:
        None where they are not both chemistry, or may as well be algebra and differ.
    """
    if max(len(first), len(second)) > MAX_CHARS:
        return None
    if _NUCLEAR.match(first) or _NUCLEAR.match(second):
        first, second = _named_particle(first), _named_particle(second)
    names = _element(first), _element(second)
    if all(names) and first != second:
        return names[0] == names[1]
    if not (_may_be(first) and _may_be(second)):
        return None
    for reader in (configuration, term_symbol, hybridization):
        a, b = reader(first), reader(second)
        if a is not None and b is not None:
            return a == b
    reactions = reaction(first), reaction(second)
    if reactions[0] and reactions[1]:
        return all(_same_side(a, b) for a, b in zip(reactions[0], reactions[1], strict=True))
    left, right = member(first), member(second)
    if left is None or right is None:
        return None
    (count, one), (other_count, other) = left, right
    if count == other_count and (one.agrees(other) or _condensed(first) == _condensed(second) != ""):
        return True
    return False if one.decisive or other.decisive else None


def _element(text: str) -> int | None:
    """Return the atomic number of an element by its name or its symbol of two letters, None for anything else.

    A symbol of one letter is seldom an element: `K` is a constant or a temperature, unless a font sets it upright.
    """
    plain = _plain(text).strip(" {}.")
    word = plain.lower() if len(plain) > 2 else plain
    if plain.lower() == "no" or (len(plain) == 1 and "\\" not in text):
        return None
    return elements().get({"aluminium": "aluminum", "sulphur": "sulfur", "caesium": "cesium"}.get(word, word))


def _named_particle(text: str) -> str:
    """Return the nuclear symbol of a particle that is only named, else the text."""
    return _BARE_PARTICLES.get(_plain(text).strip(" {}."), text)


def _condensed(text: str) -> str:
    """Return a structural formula with a straight alkyl group counted (`C2H5OH`) and `COOH` spelled out, else nothing."""
    plain = re.sub(r"[\s_{}]", "", _plain(text))
    if not re.fullmatch(r"[A-Za-z0-9()]{2,80}", plain):
        return ""
    plain = _ALKYL.sub(lambda found: f"C{1 + len(found[1]) // 3}H{3 + 2 * (len(found[1]) // 3)}", plain)
    return re.sub(r"CO2H$", "COOH", plain)


def _may_be(text: str) -> bool:
    return (
        "\\begin" not in text
        and re.search(r"[A-Z]|\d\s*[spdf]|sp|\\(?:alpha|beta|gamma)|[a-z]{3}-\d|e\}?\s*\^|^\s*(?:\{\s*\})?\s*\^", text)
        is not None
    )


@lru_cache(maxsize=1)
def elements() -> dict[str, int]:
    """Return every element's symbol and lower-case name with its atomic number."""
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    found = {table.GetElementSymbol(number): number for number in range(1, 119)}
    return found | {table.GetElementName(number).lower(): number for number in range(1, 119)}


def _counted(atoms: tuple[tuple[str, int], ...]) -> Counter[str]:
    total = Counter[str]()
    for element, count in atoms:
        total[element] += count
    return total


def configuration(text: str) -> Counter[str] | None:
    """Return the occupation of each subshell; the core of a noble gas is written out."""
    plain = _plain(text)
    filled = Counter[str]()
    if core := _CORE.match(plain):
        filled.update({shell[:2]: int(shell[2:]) for shell in _SHELL_ORDER[: _CORE_SHELLS[core.group(1)]]})
        plain = plain[core.end() :]
    rest, found = plain, list(_SUBSHELL.finditer(plain))
    for shell in found:
        name = shell.group(1) + shell.group(2)
        if name in filled:
            return None
        filled[name] = int(shell.group(3) or shell.group(4))
    rest = _SUBSHELL.sub("", plain)
    return filled if found and not rest.strip(" {},.") else None


def term_symbol(text: str) -> tuple[str, str, Fraction, bool] | None:
    """Return multiplicity, letter, J and parity of a term symbol such as `^2P_{3/2}`."""
    match = _TERM.fullmatch(_plain(text, braces=True).strip())
    if match is None:
        return None
    above, below = match.group(4) or match.group(6) or match.group(8), match.group(5) or match.group(7) or "1"
    if not int(below):
        return None
    return match.group(1), match.group(2), Fraction(int(above), int(below)), bool(match.group(3) or match.group(9))


def hybridization(text: str) -> tuple[int, int, bool] | None:
    """Return the numbers of p and d orbitals of `sp^3d^2`, and whether the d orbitals are inner ones, as of `d^2sp^3`."""
    match = _HYBRID.fullmatch(_plain(text).strip())
    if match is None:
        return None
    has_d = "d" in match.group()
    inner = match.group(1) is not None
    return int(match.group(3) or 1), int(match.group(2) or match.group(4) or 1) if has_d else 0, inner


def reaction(text: str) -> tuple[list[tuple[Fraction, Species]], list[tuple[Fraction, Species]]] | None:
    """Return both sides of a reaction, each a list of species with their numbers."""
    plain = _ESCAPES.sub(" ", _plain(text))
    sides = _ARROW.split(plain)
    by_sign = len(sides) == 1
    sides = plain.split("=") if by_sign else sides
    if len(sides) != 2:
        return None
    read = [
        [
            member(_spelled_particle(part))
            for part in re.split(r"\s\+\s|(?<![\^{])\+(?=\s*(?:\d|[A-Z{\\^]|[enp](?![a-z])))", side)
        ]
        for side in sides
    ]
    if any(part is None for side in read for part in side):
        return None
    left, right = ([part for part in side if part] for side in read)
    if by_sign and (len(left) + len(right) < 3 or not any(species.decisive for _, species in left + right)):
        return None
    return left, right


def _spelled_particle(part: str) -> str:
    """Return a member of a reaction with a bare neutron or proton, `3n`, as a nuclear symbol."""
    bare = _BARE_PARTICLE.fullmatch(part)
    return f"{bare[1]} {_BARE_PARTICLES[bare[2]]}" if bare else part


def _same_side(first: list[tuple[Fraction, Species]], second: list[tuple[Fraction, Species]]) -> bool:
    left = list(second)
    for count, species in first:
        hit = next((one for one in left if one[0] == count and one[1].agrees(species)), None)
        if hit is None:
            return False
        left.remove(hit)
    return not left


def _plain(text: str, braces: bool = False) -> str:
    """Return a text without fonts and spaces of TeX; the braces of a font go with it."""
    text = _SPACE.sub(" ", text)
    while (match := _WRAP.search(text)) is not None:
        start = match.end()
        if text[start : start + 1] != "{":
            text = text[: match.start()] + " " + text[start:]
            continue
        depth = 0
        for end in range(start, len(text)):
            depth += (text[end] == "{") - (text[end] == "}")
            if depth == 0:
                break
        else:
            return text
        text = text[: match.start()] + text[start + 1 : end] + text[end + 1 :]
    return text if braces else text.strip()


def member(text: str) -> tuple[Fraction, Species] | None:
    """Return a species with the number before it, as a member of a reaction has."""
    text = _plain(text)
    coefficient = _COEFFICIENT.match(text)
    if coefficient is None:
        found = species(text)
        return (Fraction(1), found) if found else None
    above, below, over, under, number = coefficient.groups()
    if int(below or under or 1) == 0:
        return None
    count = Fraction(number or f"{above or over}/{below or under}")
    found = species(text[coefficient.end() :])
    return (count, found) if found else None


def species(text: str) -> Species | None:
    """Return an atom, molecule, ion, isotope or particle; None for others."""
    text = _plain(text).strip()
    text = _unbraced(text)
    state = ""
    if stated := _STATE.search(text):
        state, text = stated.group(1), text[: stated.start()]
    if named := _NUCLIDE_NAME.fullmatch(text):
        number = elements().get(named.group(1)) or elements().get(named.group(1).lower())
        return Species(((_symbol(number), 1),), 0, int(named.group(2)), "", True) if number else None
    mass = number = None
    if prefix := _PREFIX.match(text):
        mass, number = _numbers(prefix.group(1))
        text = text[prefix.end() :].strip()
    particle = _particle(text, mass, number)
    if particle is not None:
        return particle
    charge, text = _charge(text, mass is not None)
    text = _unbraced(text)
    atoms: list[tuple[str, int]] = []
    for piece in re.split(r"\\cdot(?![a-z])|[·•.*]", text):
        coefficient = re.match(r"\s*(\d+)\s*(?=[A-Z])", piece) if atoms else None
        found = _atoms(piece[coefficient.end() :] if coefficient else piece)
        if found is None:
            return None
        atoms += [(element, count * int(coefficient.group(1) if coefficient else 1)) for element, count in found]
    if number is not None and (len(atoms) != 1 or elements().get(atoms[0][0]) != number):
        return None
    sure = bool(mass or charge or state) or any(count > 1 or len(element) > 1 for element, count in atoms)
    return Species(tuple(atoms), charge, mass, state, sure) if atoms else None


def _unbraced(text: str) -> str:
    """Return a text without one pair of braces around the whole of it."""
    whole = (
        text.startswith("{")
        and text.endswith("}")
        and text[1:2] not in ("", "}")
        and "}" not in text[1:-1].split("{")[0]
    )
    return text[1:-1].strip() if whole else text


def _symbol(number: int) -> str:
    return next(symbol for symbol, value in elements().items() if value == number)


def _numbers(written: str) -> tuple[int | None, int | None]:
    """Return mass number and atomic number of `^{14}_6`."""
    found = {mark: int(value.strip("{} ")) for mark, value in re.findall(r"([\^_])\s*(\{[^{}]*\}|[-+]?\d+)", written)}
    return found.get("^"), found.get("_")


def _particle(text: str, mass: int | None, number: int | None) -> Species | None:
    """Read alpha, beta, gamma, neutrons, electrons and their relatives."""
    charge, name = _charge(text, nuclear=re.fullmatch(r"(?:e|\\beta)\s*[-+]", text.strip()) is None)
    name = re.sub(r"\\(?:bar|overline)\s*\{?\s*\\?(\w+)\s*\}?", r"bar \1", name).replace("\\", "").strip("{} ")
    name = re.sub(r"_\{?e\}?$", "", name)
    if name in ("e", "beta"):
        sign = charge if charge else number if number in (1, -1) else -1 if name == "beta" or mass is None else 0
        return Species((("e", 1),), sign, 0, "", True) if sign else None
    if name in _PARTICLES and (mass is not None or name not in ("n", "p", "D") or charge):
        symbol, own_mass, own_number = _PARTICLES[name]
        if mass not in (None, own_mass) or number not in (None, own_number):
            return None
        return Species(((symbol, 1),), 0, own_mass, "", True)
    return None


def _charge(text: str, nuclear: bool = False) -> tuple[int, str]:
    """Return the charge of a species and the text before it."""
    text = text.strip()
    match = _CHARGE.search(text)
    if match:
        size = match.group(1) or match.group(4) or match.group(5) or "1"
        sign = match.group(2) or match.group(3) or match.group(6)
        return int(sign + size), text[: match.start()].strip()
    bare = _BARE_CHARGE.search(text)
    if bare and not nuclear:
        before = text[: bare.start()]
        # `Fe3+` is iron of charge 3, `SO42-` ends in its charge, and the 4 of `NH4+` counts atoms.
        owned = re.fullmatch(r"[A-Z][a-z]?", before) or (before[-1:].isdigit() and bare.group(1))
        size, rest = (bare.group(1) or "1", before) if owned else ("1", before + bare.group(1))
        return int(bare.group(2) + size), rest
    return 0, text


def _atoms(text: str) -> list[tuple[str, int]] | None:
    """Read elements and groups in brackets, each with its number."""
    stack: list[list[tuple[str, int]]] = [[]]
    position, text = 0, re.sub(r"(?<![_\d])[{}]|(?<=[A-Za-z])\}", "", text) if "_" not in text else text.rstrip()
    while position < len(text):
        match = _ATOM.match(text, position)
        if match is None or (match.group(2) and (match.group(4) or match.group(5))):
            return None
        digits = match.group(4) or match.group(5)
        if digits and (digits.startswith("0") or len(digits) > 3 or (digits == "1" and match.group(4))):
            return None
        count = int(digits or 1)
        if match.group(1):
            symbol = match.group(1)
            if symbol not in elements():
                return None
            stack[-1].append((symbol, count))
        elif match.group(2):
            stack.append([])
        else:
            if len(stack) < 2 or not stack[-1]:
                return None
            group = stack.pop()
            stack[-1] += [(symbol, own * count) for symbol, own in group]
        position = match.end()
    return stack[0] if len(stack) == 1 and stack[0] else None
