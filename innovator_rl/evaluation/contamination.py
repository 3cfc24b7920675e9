"""Find questions of a suite in a training file: by text, and by molecule.

Text is compared by runs of 13 words, as usual since GPT-3, and a question of up to 50 words as a whole: a training prompt
with another frame around the question still matches, and one with other numbers in the same template does not. Nor does
one that begins with the question and goes on: a sentence must end where the question does. Spaces, case, numbering and the
variants of TeX do not count. Runs that many questions of a task share are its frame and count for nothing. Molecules are
compared by InChIKey too, because another spelling of SELFIES or SMILES has no words in common; within the text, one
spelling is one word.
"""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innovator_rl.data.checks.sentences import Span, bounds
from innovator_rl.data.rows import read_rows
from innovator_rl.errors import UserError
from innovator_rl.evaluation.build import build_task, check_suite
from innovator_rl.evaluation.local_data import read_rows as read_json_rows
from innovator_rl.evaluation.network import settle_network
from innovator_rl.evaluation.sets.molecules import molecule
from innovator_rl.evaluation.suite import Suite
from innovator_rl.evaluation.task import TaskUnavailable
from innovator_rl.scoring import ScoringPool

RUN = 13
WHOLE = 50
"""Words up to which a question counts as a whole: questions of one template share runs of 13 and differ in a number."""
SHORTEST = 5  # words of a question below which its words alone say nothing
SHARED = 0.05  # a run in more than this share of a task's questions is its frame
MOLECULE = r"(?:\[[^\[\]\s]{1,24}\]){3,}"
SELFIES = re.compile(MOLECULE)
ATOM = r"(?:Cl|Br|[BCNOPSFIbcnops]|\[[^\[\]\s]{1,24}\])"
SPELLED = (  # SMILES of six signs and four letters or more, one of the signs no letter
    r"(?<!\S)(?=\S{6})(?=\S*[\d()=#\[])(?=(?:[^A-Za-z\s]*[A-Za-z]){4})"
    rf"(?:{ATOM}|[-=#/\\.()%\d@+])+(?![^\s.,;?!])"
)
WORD = re.compile(rf"{MOLECULE}|{SPELLED}|\d+(?:\.\d+)?|[^\W\d_]+|[-+*/=<>^]")
DASH = re.compile("[\u2010-\u2015\u2212]")
TEX = (
    (re.compile(r"\*\*(?=\s|$)|(?:(?<=\s)|^)\*\*"), '"'),
    (
        re.compile(
            r"\\(?:left|right|displaystyle|textstyle|limits|[bB]igg?[lrm]?)(?![A-Za-z])\.?|\\[,;:!]|\\q?quad(?![A-Za-z])|~"
        ),
        " ",
    ),
    (re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])|[×·⋅]"), "*"),
    (re.compile(r"\\leq?(?:slant)?(?![A-Za-z])|≤"), r" \\le "),
    (re.compile(r"\\geq?(?:slant)?(?![A-Za-z])|≥"), r" \\ge "),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|°"), " degree "),
    (re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))"), ""),
)
MOLECULAR = re.compile(r"[^\W\d_].*[()=#\[\d]|[()=#\[].*[^\W\d_]")
SIGNS = str.maketrans({"²": "^2", "³": "^3", "π": r"\pi ", "√": r"\sqrt ", "∞": r"\infty ", "÷": "/", "\u00a0": " "})
SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()=#%/\\.]{3,2000}")

Text = tuple[str, str, str]
"""Id, question and reference of a row."""


@dataclass(frozen=True)
class Contamination:
    """What a training file has of one task.

    Attributes:
        task: The task.
        rows: Its questions.
        text: Ids of questions that a training prompt repeats.
        molecules: Ids of questions whose molecule a training row has too.
    """

    task: str
    rows: int
    text: tuple[str, ...]
    molecules: tuple[str, ...]


def training_text(path: Path) -> Iterator[Text]:
    """Yield id, prompt and answer of each row of a training file.

    It is Parquet, or JSON with a text or messages in `question`, `problem`, `prompt` or `messages`.

    Raises:
        UserError: The file cannot be read.
    """
    if path.suffix == ".parquet":
        rows = list(read_rows(path))
        if not rows:
            raise UserError(f"training file {str(path)!r} has no rows")
        yield from ((row.id, row.prompt_text, row.answer) for row in rows)
        return
    if not path.is_file():
        raise UserError(f"training file {str(path)!r} not found")
    for number, record in enumerate(read_json_rows(path)):
        given = next((record[key] for key in ("question", "problem", "prompt", "messages") if record.get(key)), None)
        question = _contents(given)
        if not question:
            raise UserError(f"{path}, row {number + 1}: 'question' not found; the row has {', '.join(record)}")
        yield str(record.get("id", number)), question, str(record.get("answer") or "")


def _contents(given: Any) -> str:
    """Return a text, or the contents of a list of messages, those of the assistant among them; else nothing."""
    if isinstance(given, str):
        return given
    messages = given if isinstance(given, list) else []
    texts = [message.get("content") for message in messages if isinstance(message, dict)]
    return "\n\n".join(text for text in texts if isinstance(text, str))


def check_training_file(suite: Suite, root: Path, training: Path) -> tuple[list[Contamination], dict[str, str]]:
    """Compare every task of a suite with a training file.

    Args:
        suite: The suite.
        root: The data root.
        training: The training file.

    Returns:
        What was found by task, and the reasons of the tasks that could not be compared.

    Raises:
        UserError: The suite or the file cannot be used.
    """
    check_suite(suite)
    rows = list(training_text(training))
    settle_network()
    found, skipped = [], {}
    with ScoringPool(1) as pool:  # nothing is scored; tasks are built with the pool that would score them
        for row in suite.rows:
            if row.unavailable:
                skipped[row.name] = row.unavailable
                continue
            try:
                found.append(find_contamination(row.name, build_task(row, root, pool).questions(), rows))
            except TaskUnavailable as error:
                skipped[row.name] = str(error)
    return found, skipped


def find_contamination(task: str, questions: Iterable[Text], training: Iterable[Text]) -> Contamination:
    """Compare the questions of a task with training rows.

    Args:
        task: The name of the task.
        questions: Its questions.
        training: The rows of a training file.
    """
    asked = list(questions)
    index = _Index(asked)
    keys: dict[str, set[str]] = defaultdict(set)
    for identity, question, answer in asked:
        for key in inchi_keys(question, answer):
            keys[key].add(identity)
    text: set[str] = set()
    molecules: set[str] = set()
    for _, prompt, answer in training:
        text |= index.found(prompt)
        for key in inchi_keys(prompt, answer) if keys else ():
            molecules |= keys.get(key, set())
    return Contamination(task, len(asked), tuple(sorted(text)), tuple(sorted(molecules)))


class _Index:
    """The sequences of words by which questions are found: short questions whole, and each run of a long one."""

    def __init__(self, asked: Sequence[Text]) -> None:
        owners: dict[tuple[bool, tuple[str, ...]], set[str]] = defaultdict(set)
        for identity, question, _ in asked:
            words = _words(question).words
            whole = len(words) <= WHOLE
            size = len(words) if whole else RUN
            if size >= SHORTEST:
                for start in range(len(words) - size + 1):
                    owners[whole, tuple(words[start : start + size])].add(identity)
        most = max(2, SHARED * len(asked))
        self._by_start: dict[tuple[str, ...], list[tuple[list[str], bool, set[str]]]] = defaultdict(list)
        for (whole, sequence), ids in owners.items():
            if len(ids) <= most:
                self._by_start[sequence[:SHORTEST]].append((list(sequence), whole, ids))

    def found(self, text: str) -> set[str]:
        """Return the ids of the questions that a text repeats."""
        split = _words(text)
        words = split.words
        hits: set[str] = set()
        sentences: tuple[list[bool], list[bool]] | None = None
        for start in range(len(words) - SHORTEST + 1):
            for sequence, whole, ids in self._by_start.get(tuple(words[start : start + SHORTEST]), ()):
                end = start + len(sequence)
                if words[start:end] != sequence:
                    continue
                sentences = sentences or bounds(split.text, split.spans)
                if not whole or (sentences[0][start] and sentences[1][end - 1]):
                    hits |= ids
        return hits


@dataclass(frozen=True)
class _Split:
    """A text in one spelling, its words in lower case, and where they stand."""

    text: str
    words: list[str]
    spans: list[Span]


def _words(text: str) -> _Split:
    """Return words and operators, `7x + 1` and `7x - 1` differ; a molecule is one word, or each chain would be a run."""
    text = DASH.sub("-", html.unescape(text)).translate(SIGNS)
    for pattern, spelled in TEX:
        text = pattern.sub(spelled, text)
    found = list(WORD.finditer(text))
    words = [one[0].rstrip(".") if MOLECULAR.search(one[0]) else one[0].casefold() for one in found]
    return _Split(text, words, [one.span() for one in found])


def inchi_keys(question: str, answer: str) -> set[str]:
    """Return the InChIKeys of the molecules in a question and its reference."""
    spelled = {*SELFIES.findall(question), *SELFIES.findall(answer)}
    if SMILES.fullmatch(answer.strip()) and Counter(answer.upper())["C"] >= 2:
        spelled.add(answer.strip())
    found = set()
    for text in spelled:
        one = molecule(text)
        if one is not None and one.GetNumHeavyAtoms() >= 3:
            from rdkit import Chem

            untyped = vars(Chem)
            found.add(str(untyped["MolToInchiKey"](one)))
    return found - {""}
