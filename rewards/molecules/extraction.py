r"""Find the molecule that a response commits to.

It is looked for in this order: a `<answer>` tag or `\boxed{}`, a sentence such as "the final answer is", a final part
that is one molecule, the molecule in the last line. A response that puts different molecules in the place of the answer
commits to none of them.
"""

from __future__ import annotations

import re

from rewards.extraction import Found, all_boxed, final_part, find_answer
from rewards.molecules.parsing import MAX_TEXT_CHARS, is_selfies
from rewards.true_false import takes_back

MAX_CANDIDATES = 8
_RUN = re.compile(
    r"(?<![^\s`\"':>*$])(?:\[[^\[\]\s]{1,30}\]\s{0,4}(?:\.(?=\s{0,4}\[))?\s{0,4}){1,1600}(?=[\s`\"',;<*$\[]|[.)](?:\s|$)|$|(?<=\s))"
)
_TEX_TEXT = re.compile(r"\\(?:text|texttt|mathrm|mathtt)\s*\{(.*)\}", re.DOTALL)
_FENCE = re.compile(r"^```[a-zA-Z]{0,12}\n?|```$")
_LABEL = re.compile(
    r"^(?:the\s+)?(?:final\s+)?(?:answer|molecule|selfies|smiles|structure)\s*(?:is|:|=)+\s*", re.IGNORECASE
)
_SEPARATOR = re.compile(r"\s*(?:\bor\b|\band\b|[,;|\n])\s*", re.IGNORECASE)
_BULLET = re.compile(r"^(?:[-*]|\(?\d{1,2}[.)])\s+")
_STRUCTURE = re.compile(r"(?=.*[\]\)=#@]|[BCNOPSFI]{2,}$)[A-Za-z0-9@+\-\[\]()=#$:./\\\\%*]+")
_OTHER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def candidates(response: str) -> list[str]:
    """Return the candidates in the place of the answer: none, one, or several."""
    found = find_answer(response)
    if found is None:
        return []
    text = final_part(response)
    if found.kind in ("tag", "boxed"):
        marked = _OTHER_TAG.findall(text[-2 * MAX_TEXT_CHARS :]) if found.kind == "tag" else all_boxed(text)
        return _distinct([part for mark in [*marked[-MAX_CANDIDATES:], found.text] for part in _split(mark)])
    return _unmarked(found, text)


def _unmarked(found: Found, text: str) -> list[str]:
    text = _plain(text)
    if len(text) <= MAX_TEXT_CHARS and (_one_molecule(text) or not re.search(r"\s", text)):
        return [text]
    lines = [line.strip() for line in text[-4 * MAX_TEXT_CHARS :].splitlines() if line.strip(" `")]
    if not lines:
        return []
    tail = found.text if found.kind == "phrase" else lines[-1]
    if (place := _RUN.search(tail[-MAX_TEXT_CHARS:])) and takes_back(tail[-MAX_TEXT_CHARS:][: place.start()], ""):
        return [tail[:MAX_TEXT_CHARS]]  # denied: no molecule
    if len(tail) > MAX_TEXT_CHARS and _RUN.fullmatch(tail[:200].rsplit("]", 1)[0] + "]"):
        return [tail]  # nothing but symbols, and too many: refused by its length
    runs = [run.strip().rstrip(".") for run in _RUN.findall(tail[-MAX_TEXT_CHARS:])]
    if not runs and found.kind != "phrase":  # a remark after the molecule
        runs = [run.strip().rstrip(".") for run in _RUN.findall("\n".join(lines)[-MAX_TEXT_CHARS:])]
    hedged = re.search(r"\bor\b", tail[-MAX_TEXT_CHARS:], re.IGNORECASE)
    if not hedged and (longer := [run for run in runs if run.count("[") > 1]):
        runs = longer
    if runs:
        return _distinct([*_listed(lines), *runs] if found.kind != "phrase" else runs)
    parts = _split(tail)
    if len(parts) == 1 and (words := parts[0].strip("`").split()):
        parts = [words[-1].strip("`.,:;*\"'")]
    return _distinct([*_listed(lines), *parts] if found.kind != "phrase" else parts)


def _listed(lines: list[str]) -> list[str]:
    """Return the lines before the last that each offer a structure as an answer."""
    offered = [_plain(_BULLET.sub("", line)) for line in lines[-MAX_CANDIDATES:-1]]
    return [line for line in offered if len(line) <= MAX_TEXT_CHARS and _STRUCTURE.fullmatch(line)]


def _one_molecule(text: str) -> bool:
    return "\n\n" not in text and is_selfies(re.sub(r"\s+", "", text))


def _split(text: str) -> list[str]:
    """Return the alternatives that an answer lists.

    One unbroken molecule over several lines of SELFIES stays one.
    """
    plain = _plain(text)
    if _one_molecule(plain):
        return [plain]
    parts = [_plain(part) for part in _SEPARATOR.split(plain)]
    return [part for part in parts if part][:MAX_CANDIDATES]


def _plain(text: str) -> str:
    text = _FENCE.sub("", text.strip()).strip()
    text = _TEX_TEXT.sub(r"\1", text).strip("`$* \n")
    return _LABEL.sub("", text).strip("`$* \n")


def _distinct(parts: list[str]) -> list[str]:
    return list(dict.fromkeys(part for part in parts if part))
