"""Compare what makes a caption about one molecule and no other: numbers, stereo words, names; and find denials.

Two captions of one family share most of their words. What differs are single words: a locant, `(2R)` or `(2S)`, alpha or
beta, the named parent, conjugate acid or base. `specifics` returns those words, `agrees` asks whether two captions hold
the same ones, `masked` writes a caption without them, which is what knowing the family alone can say, and `undenied`
drops what a caption denies.

    agrees("It derives from a D-alanine.", "It derives from an L-alanine.", None)   # False
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

from rewards.molecules.caption_facts import CaptionFact, bare_class, facts_of, sentences, singular
from rewards.molecules.class_proofs import proves

GENERAL = frozenset(
    """
    a an the of in on at to by from for with as and or that which whose where it its this these those is are was be
    been being has have having had do does into via per also both well respectively either each between within than
    such molecule compound substance chemical structure class member type group moiety unit residue substituent
    position role derive derived functionally related carrying carry bearing bear containing contain contained
    substituted substitution replaced replacing replacement consisting consist composed comprising comprise obtained
    obtain resulting result formed form formal formally arising arise attached linked joined bound connected located
    specified isolated found produced used known acting act play exhibit natural product hydrogen atom one
    """.split()  # noqa: SIM905
)
"""Words that say nothing of a molecule; a paraphrase may choose among them."""
STRUCTURAL = frozenset(
    """
    straight chain branched linear ring cyclic carbon atom end other side skeleton backbone terminal core two three
    four acid base metabolite compound bond double single triple major species ph condensation loss deprotonation
    protonation phosphate group organic derivative conjugate ion anion cation salt ester
    """.split()  # noqa: SIM905
)
"""Words that many captions of a family share: compared for `correct`, worth nothing in `specifics`."""
RELATIONS = frozenset({"parent", "parent_hydride", "conjugate_acid", "conjugate_base", "enantiomer", "tautomer"})
MAX_SHARE_DENIED = 0.5
_SPELLING = (
    (re.compile(r"our\b|our(?=[a-z])"), "or"),
    (re.compile("sulph"), "sulf"),
    (re.compile("oe(?=str|st)"), "e"),
)
_POSITION = re.compile(r"[\d(\[+\-']|^(?:alpha|beta|gamma|delta|omega|cis|trans|[a-z])$")
_DENIAL = re.compile(
    r"\b(?:not|no|never|none|nothing|neither|nor|cannot|without|lacks?|lacking|false|untrue|incorrect|incorrectly|wrong|"
    r"wrongly|fails?|isn['’]?t|doesn['’]?t|hasn['’]?t|aren['’]?t|wasn['’]?t|can['’]?t|don['’]?t|contrary|opposite|unlike|"
    r"except|excluding|hardly|unlikely|deny|denies|denied|denying|doubt|doubtful|disagree|reject|rejected|refute|refuted|"
    r"rather\s+than|instead\s+of|other\s+than|anything\s+but|far\s+from|rules?\s+out|ruled\s+out|absent)\b",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"^\W*(?:(?:it|this|that|the\s+following|what\s+follows|all\s+(?:of\s+)?(?:this|the\s+following))?\s*(?:is|are|was|would\s+be|"
    r"seems)?\s*(?:(?:simply|just|certainly|definitely|all|entirely|completely|quite)\s+)?(?:not|never|hardly|un|in)?\s*"
    r"(?:true|false|untrue|correct|incorrect|wrong|the\s+case|so|right|unlikely|doubtful|impossible)\b[^:.]{0,40}?(?:\bthat\b|:|\bto\s+\w+)|"
    r"(?:not|no|never|wrong|false|incorrect|untrue)\s*[:,!—-]|"
    r"(?:contrary\s+to|the\s+opposite\s+of|the\s+reverse\s+of|i\s+(?:deny|doubt|reject|refute|disagree|do(?:n['’]?t|\s+not)\s+"
    r"(?:think|believe|agree))|nobody|no\s+one|none\s+of|by\s+no\s+means|under\s+no)\b)",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\?(?:\s|$)")
_LEAD = re.compile(r"(.{3,160}?)\b(?:the|this)\s+(?:molecule|compound)\s+is\b", re.IGNORECASE | re.DOTALL)
_DOUBT = re.compile(
    r"\b(?:mistake|mistaken|err(?:or|s|oneous)?|lies?|lying|ignore|disregard|forget|nobody|no\s+one|different|another|other|"
    r"unless|if|suppose|pretend|imagine|hypothetical\w*|contrary|joke|joking|refuse|is\s+it)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=8_192)
def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, one for each run without a space, bare of marks around it."""
    plain = re.sub(r"\bconjugate\s+(acid|base)\b", r"conjugate-\1", text.lower())
    for pattern, spelled in _SPELLING:
        plain = pattern.sub(spelled, plain)
    found = (_bare(word) for word in plain.split())
    return tuple(singular(word) if word.isalpha() and len(word) > 4 else word for word in found if word)


def _bare(word: str) -> str:
    word = word.strip('.,;:!?"*`')
    if word.count("(") != word.count(")"):
        word = word.lstrip("(") if word.count("(") > word.count(")") else word.rstrip(")")
    return word


def content(text: str) -> tuple[str, ...]:
    """Return the words of a text that are not `GENERAL`."""
    return tuple(word for word in words(text) if word not in GENERAL)


def specifics(text: str) -> Counter[str]:
    """Return the words that a caption of another molecule of the family would not have."""
    return Counter(word for word in content(text) if word not in STRUCTURAL)


def specifics_f1(predicted: str, gold: str) -> float:
    """Return the F1 of the specific words of two captions with the word before each, 1 where neither has any."""
    mine, theirs = _in_place(predicted), _in_place(gold)
    total = mine.total() + theirs.total()
    return 2 * (mine & theirs).total() / total if total else 1.0


def _in_place(text: str) -> Counter[tuple[str, str]]:
    told = words(text)
    pairs = zip(("", *told), told, strict=False)
    return Counter((before, word) for before, word in pairs if word not in GENERAL and word not in STRUCTURAL)


def masked(reference: str) -> str:
    """Return a caption with every specific word exchanged for one that means nothing."""
    hidden = specifics(reference)

    def hide(word: str) -> str:
        own = words(word)
        mark = word[-1] if word[-1] in ".,;:" else ""
        return f"thing{mark}" if any(one in hidden for one in own) else word

    return " ".join(hide(word) for word in reference.split())


def agrees(predicted: str, reference: str, molecule: Any) -> bool:
    """Return whether a caption makes no claim other than the reference's, and all of those that single out a molecule.

    Its sentences may come in another order and leave out roles and classes. Classes other than those of the reference are
    allowed where `molecule` confirms them (see `substructure_classes`).
    """
    mine, theirs = facts_of(predicted), facts_of(reference)
    if any(
        {one for one in mine if one.kind == kind} != {one for one in theirs if one.kind == kind} for kind in RELATIONS
    ):
        return False
    if {one for one in mine if one.kind == "role"} - {one for one in theirs if one.kind == "role"}:
        return False
    said = [one for one in sentences(predicted) if not _confirmed(one, theirs, molecule)]
    known = sentences(reference)
    needed = [one for number, one in enumerate(known) if number == 0 or not (bare_class(one) or _is_role(one))]
    return (
        _inside(said, known)
        and _inside(needed, sentences(predicted))
        and all(any(one.phrase in line for line in map(str.lower, sentences(predicted))) for one in _main(known))
    )


def _main(known: list[str]) -> list[CaptionFact]:
    return [one for one in facts_of(known[0]) if one.kind == "class"] if known and bare_class(known[0]) else []


def _is_role(sentence: str) -> bool:
    facts = facts_of(sentence)
    return bool(facts) and all(one.kind == "role" for one in facts)


def _confirmed(sentence: str, known: frozenset[CaptionFact], molecule: Any) -> bool:
    """Return whether a sentence only names classes, each known or borne out by the molecule."""
    if not bare_class(sentence):
        return False
    altered = {re.sub(r"\d+", "#", one.phrase) for one in known if one.kind == "class"}
    return all(one in known or _borne_out(one.phrase, altered, molecule) for one in facts_of(sentence))


def _borne_out(phrase: str, altered: set[str], molecule: Any) -> bool:
    """Return whether the molecule is of a class, so named that nothing undecided stands before the known ending."""
    return molecule is not None and re.sub(r"\d+", "#", phrase) not in altered and proves(phrase, molecule)


def _inside(these: list[str], those: list[str]) -> bool:
    """Return whether all words of some sentences, and where their numbers stand, occur in others."""
    mine, theirs = {w for s in these for w in content(s)}, {w for s in those for w in content(s)}
    if not mine <= theirs:
        return False
    return not _placed(these) - _placed(those)


def _placed(lines: list[str]) -> Counter[tuple[str, str]]:
    """Return each number or stereo word with the word that it belongs to, the one before it."""
    found: Counter[tuple[str, str]] = Counter()
    for line in lines:
        before = ""
        for word in content(line):
            if _POSITION.search(word) and not re.search(r"[a-z]{4}", word):
                found[before, word] += 1
            else:
                before = word
    return found


def undenied(predicted: str, reference: str) -> tuple[str, int]:
    """Return a caption without the sentences that deny something, and how many of the reference's those deny.

    A denial of the whole ("It is not true that: ...", "... None of this holds.") leaves nothing. Denials that the
    reference makes as well are statements like any other.
    """
    known = {content(one) for one in sentences(reference)}
    told = sentences(predicted)
    asked = "?" not in reference
    denying = [one for one in told if (_denies(one) and content(one) not in known) or (asked and _QUESTION.search(one))]
    if not denying:
        return predicted, 0
    if (_WHOLE.match(predicted) and not _WHOLE.match(reference)) or _belies(predicted):
        return "", len(told)
    vocabulary = set(content(reference))
    if any(_WHOLE.match(one) or not _own(one) for one in denying):
        return "", len(told)  # a remark that denies the caption around it
    against = sum(len(vocabulary & set(content(one))) >= MAX_SHARE_DENIED * len(set(_own(one))) for one in denying)
    return " ".join(one + "." for one in told if one not in denying), against


def _denies(sentence: str) -> bool:
    return bool(_DENIAL.search(re.sub(r"\bnon-|\bno\.\s*\d", "", sentence))) or _belies(sentence)


def _belies(caption: str) -> bool:
    """Return whether what stands before "the molecule is" takes a caption for wrong or for that of another molecule."""
    lead = _LEAD.match(caption)
    return bool(lead and _DOUBT.search(lead[1]))


def _own(sentence: str) -> tuple[str, ...]:
    """Return what a denying sentence is about, without the denial and pointing words."""
    pointing = {
        "above",
        "all",
        "any",
        "just",
        "said",
        "true",
        "correct",
        "right",
        "case",
        "here",
        "description",
        "caption",
    }
    pointing |= {"statement", "statements", "hold", "holds", "kidding", "joking", "so", "everything", "claim", "apply"}
    pointing |= {
        "following",
        "below",
        "foregoing",
        "previous",
        "preceding",
        "text",
        "answer",
        "response",
        "information",
    }
    pointing |= {"sentence", "sentences", "content", "anything", "them", "maybe", "perhaps", "possibly", "sure", "they"}
    return tuple(one for one in content(_DENIAL.sub(" ", sentence)) if one not in pointing)
