"""Score a caption against the reference and the molecule (Mol2Caption).

    likeness = mean of (mean of six text similarities, F1 of statements, F1 of specific words)
    value    = (likeness - baseline) / (1 - baseline) x WRONG_FACT ** wrong_facts,   at least 0

* The text similarities are those of `text_metrics`. They are generous: a caption that says only what ChEBI says of
  every molecule beats many models on all six. So `baseline`, what a panel of constant captions reaches against this
  very reference plus a margin, is taken off. The panel holds the reference itself with its specific words masked, so
  that a template filled in at random earns nothing either.
* Statements (class, role, "derives from", conjugate acid or base, enantiomer, tautomer, source) are compared as
  `facts_of` reads them; what is predicted of everything weighs little.
* Class statements that a substructure or a charge decides are checked on the molecule (`groups`), read from
  `info["smiles"]`, `info["selfies"]` or the prompt. A false one takes a quarter of the value, unless the reference
  says it as well.

* Sentences that deny something are left out; where they deny what the reference says, each takes half of the value. A
  denial of the whole caption leaves 0.

`correct` means a value of at least `THRESHOLD`, no false and no denied statement, and agreement in every number, stereo
word, name, parent, conjugate and enantiomer (`caption_specifics.agrees`). Roles and further classes may be missing; none
may be added, but classes that the molecule bears out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from innovator_rl.scoring import Score, abstain, wrong
from rewards.extraction import final_part, find_answer
from rewards.molecules import text_metrics
from rewards.molecules.caption_facts import CaptionFact, agreement, facts_of
from rewards.molecules.caption_specifics import agrees, masked, specifics_f1, undenied
from rewards.molecules.parsing import MAX_TEXT_CHARS, UnreadableMolecule, read_molecule
from rewards.molecules.substructure_classes import holds

THRESHOLD = 0.5
WRONG_FACT = 0.75
DENIED = 0.5
MARGIN = 0.03
MAX_BASELINE = 0.9
MAX_CHARS = 4_000
MAX_WORDS = 600
MIN_WORDS = 3
_LABEL = re.compile(r"^(?:the\s+)?(?:final\s+)?(?:answer|caption|description)\s*(?:is)?\s*[:：]\s*", re.IGNORECASE)
_EMPHASIS = re.compile(
    r"\*\*|__|`|(?<![\w(*])[*_](?=[A-Za-z])|(?<=[A-Za-z.])[*_](?![\w)*])|^#{1,6} +|^> ?", re.MULTILINE
)
_TEX_TEXT = re.compile(r"^\\text\s*\{(.*)\}$", re.DOTALL)
_QUOTES = frozenset({('"', '"'), ("“", "”"), ("«", "»"), ("'", "'")})
_BEFORE = re.compile(
    r"^(?:(?:sure|certainly|of\s+course|okay|ok)[!,.:]\s+)?(?:here(?:['’]s|\s+is)\s+(?:the|a|my|your)\s+(?:caption|description|answer)"
    r"(?:\s+(?:of|for)\s+(?:the|this)\s+(?:molecule|compound))?:\s+)?",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?<=[.!?])\s+(?:I\s+hope\s+(?:this|that)\s+helps|hope\s+(?:this|that)\s+helps|let\s+me\s+know\s+if\s+you\s+[a-z ]{1,60})[.!]*$",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_PROMPT_LABEL = re.compile(
    r"\b(?:SMILES|SELFIES|molecule|structure|compound)\b\s*(?:is\b)?\s*[:=：]\s*`?([^\s`]+)", re.IGNORECASE
)
_PROMPT_SELFIES = re.compile(
    r"(?<![^\s:=：`\"'(>$])(?:\[[^\[\]\s]{1,30}\]\.?[ \t]?){1,1600}(?=$|[\s`\"'<,;)。，；$]|(?<=\s))"
)
_ONE_SYMBOL = re.compile(r"\[[^\[\]\s]{1,30}\]")  # the first of symbols with spaces between them
_PROMPT_SMILES = re.compile(
    r"(?<![^\s:=：`\"'>$])(?=[^\s]{0,400}[(=#@\[\d])[A-Za-z*\[][A-Za-z0-9@+\-\[\]()=#$:./\\%*]{2,}(?=$|[\s`\"'<,;?。，；$])"
)

BOILER_PLATE = (
    "The molecule is a natural product found in Homo sapiens with data available. It has a role as a metabolite.",
    "The molecule is a member of the class of compounds. It has a role as a plant metabolite.",
    "The molecule is an organic compound. It is a conjugate base of an acid. It has a role as a human metabolite.",
)
"""Captions in the manner of ChEBI that name nothing of a molecule."""

GUESSES = (
    "The molecule is a compound with a role as a plant metabolite. It is a secondary alcohol, a primary alcohol and an "
    "aromatic ether.",
    "The molecule is an organic compound. It has a role as a metabolite. It is a monocarboxylic acid and a methyl "
    "ester. It derives from an acid.",
    "The molecule is an anion that is the conjugate base of an acid, arising from deprotonation of the carboxy groups; "
    "major species at pH 7.3. It has a role as a human metabolite. It is a conjugate base of an acid.",
    "The molecule is a beta-D-glucoside with a hydroxy group at position 3 and a methyl group at position 2. It has a "
    "role as a metabolite and a plant metabolite. It is a member of phenols, a secondary alcohol and a steroid. It "
    "derives from a hydride of an alkane.",
    "The molecule is an amino oligosaccharide consisting of residues joined in sequence by a (1->4) glycosidic bond. It "
    "is an amino oligosaccharide and a glucosamine oligosaccharide.",
    "The molecule is a fatty acyl-CoA that results from the formal condensation of the thiol group of coenzyme A with "
    "the carboxy group of an acid. It is a conjugate acid of an acyl-CoA(4-).",
    "The molecule is a phosphatidylcholine in which the acyl groups at positions 1 and 2 are specified as hexadecanoyl. "
    "It derives from a hexadecanoic acid.",
)
"""Captions that guess a common family, whatever the molecule."""


class Mol2Caption:
    """Reward a caption above a constant one, and charge for false statements.

    Terms: the six text similarities; `text`, their mean; `facts_precision`, `facts_recall`, `facts` (F1); `specifics` (F1);
    `likeness`, `baseline`; `checked_facts`, `wrong_facts` and `denied`, counts; `wordnet`, 1 where METEOR used WordNet. Reasons: `correct`,
    `partial`, `wrong`, `no_answer`, `malformed_answer`, `too_long`; `bad_reference` abstains.
    """

    version = "3"

    def __call__(self, response: str, answer: str, prompt: str = "", info: dict[str, Any] | None = None) -> Score:
        """Score one response."""
        reference = " ".join(answer[:MAX_CHARS].split())
        if len(text_metrics.rouge_words(reference)) < MIN_WORDS:
            return abstain("bad_reference")
        text = caption(response)
        if text is None:
            return wrong("no_answer")
        if len(text) > MAX_CHARS or len(text_metrics.tokens(text)) > MAX_WORDS:
            return wrong("too_long", text[:200])
        predicted = " ".join(text.split())
        if len(text_metrics.rouge_words(predicted)) < MIN_WORDS:
            return wrong("malformed_answer", predicted)
        return score_caption(predicted, reference, _molecule(prompt, info or {}))


def score_caption(predicted: str, reference: str, molecule: Any) -> Score:
    """Score a caption.

    Args:
        predicted: The caption.
        reference: The reference caption.
        molecule: An RDKit molecule, or None where only the reference is known.
    """
    stated, denied = undenied(predicted, reference)
    terms = likeness(stated, reference)
    checked, false = check_facts(facts_of(stated), facts_of(reference), molecule)
    baseline = constant_likeness(reference)
    above = max(0.0, (terms["likeness"] - baseline) / (1 - baseline))
    same = text_metrics.tokens(predicted) == text_metrics.tokens(reference)
    value = 1.0 if same else above * WRONG_FACT**false * DENIED**denied
    terms |= {
        "baseline": baseline,
        "checked_facts": float(checked),
        "wrong_facts": float(false),
        "denied": float(denied),
        "wordnet": float(text_metrics.WORDNET),
    }
    settled = stated == predicted and not false and not denied
    correct = same or (value >= THRESHOLD and settled and agrees(predicted, reference, molecule))
    reason = "correct" if correct else "partial" if value > 0 else "wrong"
    return Score(value, correct, reason, predicted[:500], terms)


def likeness(predicted: str, reference: str) -> dict[str, float]:
    """Return text similarities, agreement of facts, and their mean `likeness`."""
    parts = text_metrics.similarities(predicted, reference)
    text = sum(parts.values()) / len(parts)
    precision, recall = agreement(facts_of(predicted), facts_of(reference))
    facts = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    if not facts_of(reference):  # free wording on both sides: the text alone decides
        facts = text
    named = specifics_f1(predicted, reference)
    return {
        **parts,
        "text": text,
        "facts_precision": precision,
        "facts_recall": recall,
        "facts": facts,
        "specifics": named,
        "likeness": (text + facts + named) / 3,
    }


@lru_cache(maxsize=4_096)
def constant_likeness(reference: str) -> float:
    """Return what constant captions reach against a reference, plus `MARGIN`.

    It is the best of the boilerplate and of the reference without its specific words, or the mean of the three best of
    all where that is more: to guess one family for every molecule then earns about nothing on average, while naming the
    right one still counts.
    """
    plates = [likeness(constant, reference)["likeness"] for constant in (*BOILER_PLATE, masked(reference))]
    everything = sorted([*plates, *(likeness(constant, reference)["likeness"] for constant in GUESSES)])
    return min(MAX_BASELINE, max(max(plates), sum(everything[-3:]) / 3) + MARGIN)


def check_facts(predicted: frozenset[CaptionFact], known: frozenset[CaptionFact], molecule: Any) -> tuple[int, int]:
    """Count the class facts that the molecule decides, and the false ones."""
    if molecule is None:
        return 0, 0
    accepted = {one.phrase for one in known if one.kind == "class"}
    results = {one.phrase: holds(one.phrase, molecule) for one in predicted if one.kind == "class"}
    decided = {phrase: result for phrase, result in results.items() if result is not None}
    return len(decided), sum(not result and phrase not in accepted for phrase, result in decided.items())


def caption(response: str) -> str | None:
    """Return the marked answer, else that of a phrase, else the last paragraph."""
    response = _EMPHASIS.sub("", response)
    found = find_answer(response)
    if found is None:
        return None
    if found.kind in ("tag", "boxed"):
        return _unwrapped(_TEX_TEXT.sub(r"\1", found.text))
    text = final_part(response)
    if found.kind == "phrase":
        return _unwrapped(text[max(0, text.rfind(found.text)) :])
    return _unwrapped(_LABEL.sub("", re.split(r"\n\s*\n", text.strip())[-1].strip()))


def _unwrapped(text: str) -> str:
    """Return a caption without courtesies and quotes around it, or the marks of a list whose items are its sentences."""
    text = _AFTER.sub("", _BEFORE.sub("", text.strip()))
    if (text[:1], text[-1:]) in _QUOTES and not re.search(r"[\"“”]", text[1:-1]):
        text = text[1:-1].strip()
    lines = text.splitlines()
    listed = all(_ITEM.match(line) for line in lines if line.strip()) and (len(lines) > 1 or not text[:1].isdigit())
    return _ITEM.sub("", text) if listed else text


def _molecule(prompt: str, info: dict[str, Any]) -> Any:
    """Return the molecule that is to be described, or None."""
    texts = [info.get("smiles"), info.get("selfies")]
    tail = prompt[-MAX_TEXT_CHARS:]
    labeled = [one.rstrip(".,;。，；") for one in _PROMPT_LABEL.findall(tail)[:-4:-1]]
    labeled = [one for one in labeled if not _ONE_SYMBOL.fullmatch(one)]
    runs = sorted(
        (one.strip().rstrip(".") for one in _PROMPT_SELFIES.findall(tail)[-8:]), key=lambda run: -run.count("[")
    )
    texts += labeled + [run for run in runs if run.count("[") > 1]
    texts += sorted((one.rstrip(".") for one in _PROMPT_SMILES.findall(tail)[-8:]), key=len, reverse=True) + runs
    for text in texts:
        if isinstance(text, str) and text:
            try:
                return _read(text)
            except UnreadableMolecule:
                continue
    return None


@lru_cache(maxsize=512)
def _read(text: str) -> Any:
    return read_molecule(text)
