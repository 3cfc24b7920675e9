"""Score multiple choice, true or false, and numeric answers (the `stem` domain).

The form of the reference decides: a letter is compared with the one letter the response commits to, a truth value
with the one it states, anything else as a quantity. "A or B" commits to nothing and is `ambiguous_answer`: hedging
would otherwise be worth half the marks.
"""

from __future__ import annotations

import itertools
import re
import string
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.answer_grading import MAX_ANSWER_CHARS, compare, usable
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.extraction import Found, final_part, find_answer, unmarked
from rewards.option_letters import committed, plain_letters
from rewards.true_false import alone, parse_true_false, takes_back

_TRUTH_VALUES = {
    **dict.fromkeys(("true", "yes", "correct", "正确", "对", "是"), True),
    **dict.fromkeys(("false", "no", "incorrect", "错误", "错", "否"), False),
}
_LETTER_GOLD = re.compile(r"\(?([A-Z])\)?(?:[.):]\s.*)?", re.DOTALL)
_LETTER_ONLY = re.compile(r"\W*(?:option|choice|answer)?\W*([A-Za-z])\W*", re.IGNORECASE)
_LETTER_LEAD = re.compile(r"\W*(?:(?i:option|choice)\s*)?[(\[*]*([A-Z])[)\].:*]+(?:\s|$|[*])")
_OPTION = re.compile(r"(?:^|\n|\s)[(\[]?([A-Z])[)\].:]\s*(.+?)(?=\s+[(\[]?[A-Z][)\].:]\s|\n|$)", re.DOTALL)
_SMALL_OPTION = re.compile(r"(?:^|\n)\s*[(\[]?([a-j])[)\].]\s+(.+?)(?=\n|$)")
_NOT_THE_OTHER = re.compile(r"(?<=[A-J)])\s*,\s*(?:and\s+)?not\s+\(?[A-J]\)?\W*$")
_OTHERS_WRONG = re.compile(
    r"(?<=[A-J)])\s*[,;]\s*(?:and\s+|while\s+|but\s+)?\(?[A-J]\)?(?:\s*(?:,\s*(?:and\s+)?|\band\b)\s*\(?[A-J]\)?)*\s+(?:is|are)\s+"
    r"(?:wrong|incorrect|false|not\s+(?:correct|right|true))\W*$"
)
_NOT_THE_OTHERS = re.compile(
    r"(?<=[A-J)])\s*,?\s*(?:and\s+|but\s+)?not\s+\(?[A-J]\)?(?:\s*(?:,\s*(?:or\s+|and\s+)?|\bor\b|\band\b)\s*\(?[A-J]\)?)*\W*$"
)
_SETTLES = re.compile(
    r"\bbut\s+(?:(?!also|could|might|maybe|not)\w+\s+)?I(?:['’](?:d|ll|m)|\s+(?:would|will|am))?\s+(?:still\s+)?(?:go(?:ing)?\s+with|choos(?:e|ing)|pick(?:ing)?|"
    r"select(?:ing)?)\s+(?:option\s+)?\(?([A-J])\)?\W*$"
)
_OTHERWISE = re.compile(
    r"\b(?i:otherwise|or\s+else)\b[\s,:]*(?:(?:it|the\s+answer)\s+is\s+|choose\s+|pick\s+)?\(?[A-J]\b"
)
_ALL = re.compile(
    r"\W*(?:all\s+of\s+(?:the\s+above|them|these)|all\s+(?:four|three|five|options|choices))"
    r"(?:\s+are\s+(?:correct|true|right))?\W*",
    re.IGNORECASE,
)
_ANSWER_SIGN = re.compile(r"^A(?:ns)?:\s+(?=\(?[A-J]\)?\W*$)")
_SMALL_LEAD = re.compile(r"\(?([a-j])[.)]\s+\S")
_SMALL_ONLY = re.compile(r"(?:\(([a-j])\)|([a-j])[.)])\s+((?!is\b|and\b|or\b|not\b)[^\s,;/&][^,;/&\n]{0,60})")
_OTHER_SMALL = re.compile(r"(?<![A-Za-z])(?:\([a-j]\)|[a-j][.)])(?:\s|$)|(?<![A-Za-z])[A-J](?![A-Za-z])|\b(?:or|not)\b")
_CLAIM = re.compile(
    r"(?:and|so|but|while|option|choice|answer|thus|therefore|hence|\W)*\(?([A-J])\)?\s*(?:"
    r"(?:is|are)\s+(?:the\s+)?(?:(wrong|incorrect|false|not\s+(?:correct|right|true|the\s+answer))|(?:right|correct|true|answer)(?:\s+(?:one|answer|option|choice))?)"
    r"|(?:选?项)?\s*是?(?:(错误?的?|不对|不正确)|(?:对的?|正确的?)))\W*",
    re.IGNORECASE,
)
_STATED = re.compile(r"answer\s*(?:is|:|=)\s*[*(\[]*([A-J])[)\]*.]*\s*$", re.IGNORECASE | re.MULTILINE)
_SEVERAL = re.compile(r"\(?[A-J]\)?(?:(?:\s*[,;&/、，]\s*|\s*(?:,\s*)?(?:and|和|与|及)\s*|\s*)\(?[A-J]\)?)+")
_CHINESE_DENIAL = re.compile(r"(?:不(?:应该?|能|该|会|可)?(?:选择?|是|为)|并?非|除了?|别选)\s*[(\[]?[A-J](?![A-Za-z])")
_CHINESE_OPTION = re.compile(r"(?<=[A-J])([)\]]?)\s*选?项(?=[\s.,;:。]*$)")
_CHOSEN = re.compile(
    r"^\s*(?:本题)?(?:应|故|可|所以|因此)?选择?\s*:?\s*|(?<=[A-J])\s*选?项\W*$|^\W*(?:options?|choices?|answers?|both)\W+(?:are\s+)?|\s+are\s+correct\W*$",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\\[{}]|[\[\]{}'\"“”]")
_ANSWER_LABEL = re.compile(
    r"^\W*(?:the\s+)?(?:correct\s+)?(?:answers?|options?|choices?)\s*(?:is|are|:)+\W*(?=[(\[A-Z])", re.IGNORECASE
)
_BETWEEN = re.compile(
    r"(?<![A-Za-z])\(?([A-J])\)?\s*(?:→|⇒|⟶|[-=]+>|[<>≠]|\\(?:to|rightarrow|Rightarrow|longrightarrow|implies|neq?)(?![a-z]))\s*\(?([A-J])\)?(?![A-Za-z])"
)
_BECAUSE = re.compile(r"\b(?:because|since|as)\b", re.IGNORECASE)
_CONDITION = r"(?:if|assume|assuming|suppos(?:e|ing)|provided|unless|were|in\s+case|should)\b"
_CONDITIONAL = re.compile(
    rf"^\W*(?:(?:so|but|and)\s+)?(?i:{_CONDITION})[^,.;\n]{{0,80}}(?<![A-Za-z])[A-J](?![A-Za-z])|"
    rf"(?<![A-Za-z])[A-J]\)?(?![A-Za-z])[^.;:\n]{{0,60}}\b(?i:if|assuming|provided|unless|supposing)\b"
)
_ALTERNATIVE = re.compile(r"\b(?:or|either|maybe|perhaps|possibly)\b|[/?]", re.IGNORECASE)
_SAYING = re.compile(r"^(?:so\s+|thus\s+|hence\s+|therefore,?\s+)?(?:it|this|that)(?:['’]s|\s+is)\s+")
_SAYS_MORE = re.compile(r"\s*(?:is|are|was|has|have|can|cannot|could|fails?|would|seems)\b")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|therefore|hence|answer|however|but|actually|finally|conclusion)\b", re.IGNORECASE
)
MAX_CLAIMS = 10
NUMERIC = EquivalenceConfig()


def options(prompt: str) -> dict[str, str]:
    """Return the labeled options that a prompt lists, label to text in lower case.

    Labels run on from A without a gap, so an initial or a variable in the question is none. Small labels count where
    there are no capital ones.
    """
    text = prompt[-20_000:]
    for pattern in (_OPTION, _SMALL_OPTION):
        found = {label.upper(): content.strip().rstrip(".").lower() for label, content in pattern.findall(text)}
        run = list(itertools.takewhile(found.__contains__, string.ascii_uppercase))
        if len(run) >= 2:
            return {label: found[label] for label in run}
    return {}


def letters(found: Found, listed: dict[str, str]) -> set[str]:
    """Return the labels that an answer commits to."""
    text = _ANSWER_SIGN.sub("", _NOT_THE_OTHER.sub("", unmarked(plain_letters(found.text))))
    text = _OTHERS_WRONG.sub("", _CHINESE_OPTION.sub(r"\1", _CHINESE_DENIAL.sub("", text)))
    if between := _BETWEEN.search(text):
        return set(between.groups())
    if _CONDITIONAL.search(_BECAUSE.split(text)[0]):
        return set()
    if _OTHERWISE.search(text):
        return set()
    if settled := _SETTLES.search(text):
        return {settled[1]}
    if (by_claims := _label_claims(text)) is not None:
        return by_claims
    if not listed and (lone := _SMALL_ONLY.fullmatch(text.strip())) and not takes_back("", lone[3]):
        return {(lone[1] or lone[2]).upper()} if not _OTHER_SMALL.search(lone[3]) else set()
    plain = _SAYING.sub("", text.strip().rstrip(".!").lower())
    if (only := _LETTER_ONLY.fullmatch(text)) and "?" not in text:
        return {only.group(1).upper()}
    if (small := _SMALL_LEAD.match(text)) and small.group(1).upper() in listed:
        text = small.group(1).upper() + text[small.end(1) :]
    by_text = {label for label, option in listed.items() if option == plain}
    if len(by_text) == 1:
        return by_text
    return committed(text, listed, answered=found.kind in ("boxed", "tag", "phrase"))


def _label_claims(text: str) -> set[str] | None:
    """Return the labels that are said to be right and never wrong; None for a text that is no list of such claims."""
    clauses = [clause for clause in re.split(r"[.,;，。；\n]", text) if clause.strip()]
    claims = [_CLAIM.fullmatch(clause) for clause in clauses[:MAX_CLAIMS]]
    if not 1 < len(clauses) <= MAX_CLAIMS or not all(claims):
        return None
    said = [(claim[1].upper(), not (claim[2] or claim[3])) for claim in claims if claim]
    return {label for label, right in said if right} - {label for label, right in said if not right}


def stated_first(response: str, listed: dict[str, str]) -> Found | None:
    """Return the choice that the first line of an unmarked response makes, its reasons following below.

    That is a lone letter, or a label with its own option. Several labeled lines are the options over again.
    """
    lines = [line.strip() for line in final_part(response)[:MAX_ANSWER_CHARS].splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    known = set(listed) or set("ABCDEFGHIJ")
    if any(map(_listed_label, lines[1:])):
        return None
    line = unmarked(lines[0])
    if (only := _LETTER_ONLY.fullmatch(line)) and only.group(1).upper() in known:
        return Found(only.group(1).upper(), "tail")
    lead = _LETTER_LEAD.match(line)
    if lead and lead.group(1) in known and line[lead.end() :].strip().rstrip(".").lower() == listed.get(lead.group(1)):
        return Found(lead.group(1), "tail")
    return None


def truth_stated_first(response: str, found: Found) -> Found:
    """Return the truth value that is the first line of an unmarked response, its reasons following below.

    A last line that concludes is left as it is; lines with both values offer both.
    """
    lines = [line.strip() for line in final_part(response)[:MAX_ANSWER_CHARS].splitlines() if line.strip()]
    if found.kind != "tail" or len(lines) < 2 or alone(lines[0]) is None or _CONCLUDES.search(lines[-1]):
        return found
    sides = {alone(line) for line in lines} - {None}
    return Found(lines[0] if len(sides) == 1 else "true or false", "tail")


def letters_of_first_line(response: str, found: Found, listed: dict[str, str]) -> set[str]:
    """Return what the first line of an unmarked response commits to, for a last line that commits to nothing."""
    lines = [line.strip() for line in final_part(response)[:MAX_ANSWER_CHARS].splitlines() if line.strip()]
    if found.kind != "tail" or len(lines) < 2 or any(map(_listed_label, lines[1:])):
        return set()
    return letters(Found(lines[0], "tail"), listed)


def stated_last(response: str, found: Found) -> Found:
    """Return the letter of an answer phrase behind a box that holds no letter."""
    if found.kind != "boxed" or _LETTER_ONLY.fullmatch(unmarked(re.sub(r"\\text|[{}]", "", found.text))):
        return found
    text = final_part(response)
    tail = text[max(text.rfind("\\boxed"), text.rfind("\\fbox")) :]
    stated = [*_STATED.finditer(tail[-MAX_ANSWER_CHARS:])]
    return Found(stated[-1].group(1), "phrase") if stated else found


def several_letters(text: str) -> frozenset[str] | None:
    """Return the labels of a choice of several, such as `A, C` or `BD`; None for anything else."""
    plain = unmarked(re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r"\1", text)).strip(" .()")
    plain = re.sub(r"(?<=[A-J])\s*\+\s*(?=[A-J])", ",", _NOT_THE_OTHERS.sub("", _BRACKETS.sub("", plain)))
    if not _SEVERAL.fullmatch(plain):
        return None
    labels = re.findall(r"[A-J]", plain)
    return frozenset(labels) if len(labels) > 1 and sorted(set(labels)) == labels else None


def listed_choices(response: str, listed: dict[str, str]) -> frozenset[str] | None:
    """Return the labels of a final part that is nothing but some of the listed options, one per line, else None."""
    text = _ANSWER_LABEL.sub("", final_part(response)[:MAX_ANSWER_CHARS].strip())
    lines = [unmarked(line.strip().removeprefix("- ")) for line in text.splitlines() if line.strip()]
    leads = [(_LETTER_LEAD.match(line), line) for line in lines]
    labels = {
        lead.group(1)
        for lead, line in leads
        if lead and line[lead.end() :].strip().rstrip(".").lower() == listed.get(lead.group(1))
    }
    return frozenset(labels) if 1 < len(labels) == len(lines) < len(listed) else None


def offers_all(response: str) -> bool:
    """Return whether a final part ends with a list of labeled options, choosing none."""
    lines = [line for line in final_part(response)[-MAX_ANSWER_CHARS:].splitlines() if line.strip()][-2:]
    return len({label for label in map(_listed_label, lines) if label}) > 1


def _listed_label(line: str) -> str:
    """Return the label of a line that lists an option, empty for one that says something about it: `(A) is wrong`."""
    lead = _LETTER_LEAD.match(line)
    return lead.group(1) if lead and not _SAYS_MORE.match(line[lead.end() :]) else ""


class Choice:
    """Reward the option, truth value or number of the reference.

    No `info` is used; options are read from `prompt` if listed there.
    """

    def __call__(self, response: str, answer: str, prompt: str) -> Score:
        """Score one response."""
        gold = unmarked(answer)
        if not gold:
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("too_long", found.text[:100])
        if found.taken_back:
            return wrong("ambiguous_answer", found.text[:200])
        if labels := several_letters(gold):
            several = several_letters(_CHOSEN.sub("", found.text)) or listed_choices(response, options(prompt))
            if several is None and _ALL.fullmatch(found.text):
                several = frozenset(options(prompt))
            if several is None and not (_ALTERNATIVE.search(found.text) or _BETWEEN.search(found.text)):
                several = frozenset(letters(found, options(prompt)))
            return right(", ".join(sorted(labels))) if several == labels else wrong(extracted=found.text[:200])
        listed = options(prompt)
        if gold.upper() in listed:
            gold = gold.upper()
        if label := _LETTER_GOLD.fullmatch(gold):
            found = stated_last(response, found)
            if found.kind == "tail" and (first := stated_first(response, listed)):
                found = first
            if found.kind in ("bare", "tail") and offers_all(response):
                return wrong("ambiguous_answer", found.text[:200])
            chosen = letters(found, listed) or letters_of_first_line(response, found, listed)
            return _grade_labels(chosen, label.group(1), found.text)
        if gold.lower() in _TRUTH_VALUES:
            found = truth_stated_first(response, found)
            return grade_truth_value(found, _TRUTH_VALUES[gold.lower()])
        return compare(answer, found, NUMERIC, prompt) if usable(answer, NUMERIC) else abstain("bad_reference")

    def __repr__(self) -> str:
        return "Choice()"


def grade_truth_value(found: Found, gold: bool) -> Score:
    """Compare the truth value that an answer states with the reference."""
    side = parse_true_false(found.text)
    if isinstance(side, str):
        return wrong("malformed_answer" if side == "neither" else "ambiguous_answer", found.text[:200])
    return right(str(side)) if side == gold else wrong(extracted=str(side))


def _grade_labels(chosen: set[Any], gold: str, text: str) -> Score:
    if not chosen:
        return wrong("malformed_answer", text[:200])
    if len(chosen) > 1:
        return wrong("ambiguous_answer", text[:200])
    (label,) = chosen
    return right(label) if label == gold else wrong(extracted=label)
