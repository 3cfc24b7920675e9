"""Read which labeled options an answer commits to.

A capital letter in prose is seldom a label: it is an article ("A good answer"), a pronoun, the initial of a name, a
part of a name ("vitamin C", "plan B") or a symbol ("E = mc^2"). A letter counts only by where it stands:

* marked: `(B)`, `**B**`, `option B`, `B.` or `B)` at the start of a line;
* stated: behind words that choose ("it is B", "I pick B", "so B") with the statement ending there;
* called right: "B is correct", "only B fits";
* next to the text of its own option, where the prompt lists the options.

Use `committed(text, ...)`. Letters joined by "or", "and" or commas count together, so a hedge commits to several.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rewards.equivalence.notation import listed as words
from rewards.true_false import takes_back

MAX_MENTIONS, MAX_BEFORE = 60, 300
DEFAULT_LABELS = frozenset("ABCDEFGHIJ")
_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|sf|it|tt|cal)|boldsymbol|bm|underline|emph|operatorname|boxed|fbox|mbox)"
    r"\s*\{([^{}]*)\}"
)
_TEX_SPACE = re.compile(r"\\[,;:! ]|\\q?quad(?![a-z])|~|\u00a0")
_CHINESE_BEFORE = re.compile(r"([\u4e00-\u9fff])(?=[(\[]?[A-J](?![A-Za-z]))")
_CHINESE_STOP = re.compile(r"(?<=[A-J])\.(?=[A-J]?[\u4e00-\u9fff])")
_TAG = re.compile(r"</?(?:b|strong|i|em|u|code|span|p)>", re.IGNORECASE)
_OPTION_WORD = r"(?:option|choice|answer|letter|statement|item|alternative|response)"
_EMPHASIZED = re.compile(r"(?:\*{1,3}|_{1,2}|`|[\"“])\s*[(\[]?([A-Z])[)\].:]*\s*(?:\*{1,3}|_{1,2}|`|[\"”])")
_IN_DOLLARS = re.compile(rf"((?:\b{_OPTION_WORD}|\bis|:|,|\band|\bor)\s*)\$\s*\(?([A-Z])\)?\s*\$", re.IGNORECASE)
_NAMED_SMALL = re.compile(
    r"(\b(?i:option|choice|letter)\s+)([a-j])(?![\w'’])(?!\s+(?!is\b|because\b|since\b|as\b|and\b|or\b)[a-z])"
)
_MENTION = re.compile(
    r"(?<![A-Za-z0-9_\\^.'’$°+])(?<!\d )(?<!° )(?:[(\[]\s*(?P<marked>[A-Za-z])\s*[)\]]|(?P<closed>[A-Z])[)\]]|(?P<bare>[A-Z]))"
    r"(?![A-Za-z0-9_'’^$+#]|\.[A-Za-z]|\s*=|-\w)"
)
_JOINT = re.compile(
    rf"\s*(?:[,;/&、，]|(?:,\s*)?(?:and/or|or|and|和|或|与|及)(?=\W|$)(?:\s*(?:possibly|perhaps|maybe|also|even|{_OPTION_WORD})\b)*)\s*",
    re.IGNORECASE,
)
_CITED = frozenset(words("figure fig table equation eq eqs part panel section appendix column row step line ref"))
_CHOOSES = frozenset(
    words(
        "is are be was answer's it's its that's choose chose choosing chosen pick picked picking select selected selecting "
        "say answer answers answered guess think believe vote mark circle tick favor prefer leaves leaving so thus hence get "
        "got gives matches likely obviously namely therefore then only just but simply clearly definitely probably certainly "
        "with either both correct right"
    )
)
_SETTLES = re.compile(
    r"\b(?:(?:go|going|went|opt|opted|settle|settled|vote|voted|bet|land)\s+(?:for|on)|"
    r"(?:corresponds?|corresponding|points?|leads?)\s+to|listed\s+as)\s+$",
    re.IGNORECASE,
)
_SUBJECT = frozenset(words("so thus hence therefore then that and but while only clearly both think believe say yet"))
_NAMED = re.compile(rf"\b{_OPTION_WORD}s?\s+$", re.IGNORECASE)
_NAMES_OPTION = re.compile(rf"{_OPTION_WORD}s?", re.IGNORECASE)
_ENDS = re.compile(
    r"\s*(?:$|[.,;:!)\]}—–\n]|\d{1,3}\s*%|-+\s|[(\[](?!or\b)|\s(?:because|since|as|for|due|given|rather|instead|over|which|not|only|"
    r"alone|(?:and|but)\s+(?:not|nothing|no)\b)\b)"
)
_CALLED_RIGHT = re.compile(
    r"\s+(?:(?:is|are|was|seems|looks|appears|(?:must|should|would)\s+be|has\s+to\s+be|to\s+be)\s+(?:\w+ly\s+)?(?:the\s+)?"
    r"(?:your\s+|my\s+|our\s+|only\s+|most\s+|best\s+|single\s+|one\s+)*(?:correct|right|true|best|answers?|option|choice|accurate|appropriate|"
    r"\w{3,}est|most|least)\b|(?:fits?|works?|matches|match|holds?|follows|applies|remains|answers|it\s+is|is\s+left)\b(?!\s+(?:a|the)\b))|"
    r"\s*(?:选?项)?\s*是?(?:最佳|正确|对的|答案)",
    re.IGNORECASE,
)
_OPTION_BEHIND = re.compile(r"\s+(?:option|choice|answer)\b", re.IGNORECASE)
_LOWER = re.compile(r"\s+[a-z]")
_DONE_BY_PEOPLE = (
    "wrote|said|says|argued|proposed|discovered|invented|developed|showed|published|found|stated|claimed|won|thought|"
    "believed|studied|coined|introduced|suggested|formulated|derived|died|received|observed|demonstrated|was\\s+born"
)
_INITIAL = re.compile(
    rf"\.\s*(?:[A-Z]\.\s*)*[A-Z][\w'’-]+(?:[’']s\b|\s+(?:{_DONE_BY_PEOPLE}|et\s+al)\b)|\.\s*[A-Z]\.\s*[A-Z][a-z]|"
    r"\.\s+(?:coli|elegans|melanogaster|sapiens|cerevisiae|aureus|subtilis|thaliana|musculus|rerio|laevis)\b"
)
_SURNAME = re.compile(r"\.\s+[A-Z][a-z]+\W*$")
_PICTURE = re.compile(
    r"(?:the\s+)?(?:graph|figure|diagram|curve|structure|compound|plot|image|picture|panel|molecule|scheme|group)\s+"
    r"[(\[]?([A-Z])[)\]]?\W*",
    re.IGNORECASE,
)
_SHARE = re.compile(r"(?<![A-Za-z])([A-Z])\)?\s*[:(]?\s*\d{1,3}\s*%")
_MAYBE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|alternatively|(?:could|might|may)(?:\s+also)?\s+be)\s+(?:(?:it|is|it's|also|even|"
    rf"{_OPTION_WORD})\s+)*$",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:than|unlike|like|besides|over|with|to|from|between|given|as|nor|not|neither)\s+\(?$", re.IGNORECASE
)
_BUT = re.compile(r"(\w+)\s*,?\s*\bbut\s+$", re.IGNORECASE)
_ALL = frozenset(words("all anything everything nothing any none every anyone no"))
_NOT_BUT = re.compile(r"^.*\b(?:not|neither|nor)\b.*\bbut\s+(?:rather\s+|instead\s+)?(?:\w+\s+){0,3}$", re.IGNORECASE)
_DENIED_BEHIND = re.compile(
    r"\s+(?:are|were|aren[’']t|weren[’']t)\s+(?:\w+ly\s+)?(?:not|never|wrong|incorrect|false|out|excluded|too)\b"
)
_REASON = re.compile(r"\b(?:because|since|whereas)\b", re.IGNORECASE)
_LATE = re.compile(rf"\bor\s+(?:maybe\s+|{_OPTION_WORD}\s+)*[(\[]?([A-J])[)\]]?\W*$")
_CONCLUSION = re.compile(r"\b(?:so|thus|hence|therefore)\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Group:
    """Labels joined as one, where they stand, and whether all are marked."""

    labels: frozenset[str]
    start: int
    end: int
    marked: bool


def plain_letters(text: str) -> str:
    """Return a text without TeX and HTML around its words; an emphasized letter becomes `(B)`."""
    for _ in range(4):
        shorter = _WRAPPED.sub(r"\1", text)
        if shorter == text:
            break
        text = shorter
    text = re.sub(r"(?<![A-Za-z\\])boxed\s*\{([^{}]*)\}", r"\1", text)
    text = _CHINESE_BEFORE.sub(r"\1 ", text)
    text = _TAG.sub("", _TEX_SPACE.sub(" ", text)).replace("{", "").replace("}", "")
    text = re.sub(r"(?<=[a-z)A-J])\.(?=(?:Choice|Option)s?\s)", ". ", text)
    text = _CHINESE_STOP.sub(". ", text)
    text = _EMPHASIZED.sub(r"(\1)", text).replace("*", "")
    text = _IN_DOLLARS.sub(r"\1\2", text)
    return _NAMED_SMALL.sub(lambda match: match[1] + match[2].upper(), text)


def committed(text: str, listed: Mapping[str, str], answered: bool = False) -> set[str]:
    """Return the labels that a sentence commits to.

    Args:
        text: The answer, through `plain_letters`.
        listed: Label to text of the options in the prompt, in lower case; empty where unknown.
        answered: Whether the text was marked as the answer, by a box, a tag or a phrase.

    Returns:
        No label for prose, several for a hedge.
    """
    stated, *reasons = _REASON.split(text, maxsplit=1)
    if answered and (picture := _PICTURE.fullmatch(stated.strip())):
        return {picture[1].upper()}
    if not stated.strip() and reasons:
        return _committed(reasons[0].rpartition(",")[2].strip(), listed, answered=False)
    pieces = _CONCLUSION.split(stated)
    found = _committed(pieces[-1], listed, answered=False) if len(pieces) > 1 else set()
    found = found or _committed(stated, listed, answered)
    if found and reasons and (late := _LATE.search(reasons[0])):
        found.add(late[1])
    return found


def _committed(text: str, listed: Mapping[str, str], answered: bool) -> set[str]:
    known = frozenset(listed) or DEFAULT_LABELS
    if len(shares := set(_SHARE.findall(text)) & known) > 1:
        return shares
    groups = _groups(text, known)
    chosen = [group for group in groups if _is_chosen(group, text, listed, answered)]
    stated = [group for group in chosen if not _is_mentioned(group, text)]
    chosen = stated or chosen
    labels = {label for group in chosen for label in group.labels}
    for group in groups:
        after = text[group.end :]
        if group not in chosen and _MAYBE.search(text[: group.start][-MAX_BEFORE:]) and not _LOWER.match(after):
            labels |= {label for one in groups for label in one.labels} if len(groups) > 1 else set()
        elif chosen and group not in chosen and re.match(r"[.:]\s+\S", after) and _follows(group, chosen):
            labels |= group.labels
    return labels


def _is_mentioned(group: _Group, text: str) -> bool:
    """Return whether a label is only named, as in "choice B is the result of ...", and neither stated nor called right."""
    after = text[group.end :]
    named = _NAMED.search(text[: group.start][-MAX_BEFORE:])
    return bool(named and not group.marked and not _ENDS.match(after) and not _CALLED_RIGHT.match(after))


def _follows(group: _Group, chosen: list[_Group]) -> bool:
    """Return whether a group is the next label after a chosen one: the options over again, in one line."""
    return any(group.start > one.end and ord(min(group.labels)) == ord(max(one.labels)) + 1 for one in chosen)


def _groups(text: str, known: frozenset[str]) -> list[_Group]:
    found: list[_Group] = []
    for match in itertools.islice(_MENTION.finditer(text), MAX_MENTIONS):
        letter = match["marked"] or match["closed"] or match["bare"]
        if letter.upper() not in known:
            continue
        before = text[: match.start()]
        marked = not match["bare"] and (match["marked"] is not None or before.count("(") <= before.count(")"))
        group = _Group(frozenset(letter.upper()), match.start(), match.end(), marked)
        if found and _are_joined(found[-1], group, text):
            last = found.pop()
            group = _Group(last.labels | group.labels, last.start, group.end, last.marked and group.marked)
        found.append(group)
    return found


def _are_joined(first: _Group, second: _Group, text: str) -> bool:
    """Return whether "or", "and" or a comma make one answer of two labels; the comma of "unlike A, B fits" does not."""
    if not _JOINT.fullmatch(text, first.end, second.start):
        return False
    if text[first.end : second.start].strip() not in (",", ";"):
        return True
    return not (second.labels <= first.labels or _COMPARED.search(text[: first.start][-MAX_BEFORE:]))


def _is_chosen(group: _Group, text: str, listed: Mapping[str, str], answered: bool) -> bool:
    before, after = text[: group.start], text[group.end :][:MAX_BEFORE]
    if _is_denied(before[-MAX_BEFORE:], after) or re.match(r"\s*\?", after):
        return False
    leads = not before.rpartition("\n")[2].strip(" \t\"'>#,-•")
    before = before[-MAX_BEFORE:]
    word = re.search(r"([A-Za-z’']+)\s+$", before)
    previous = word[1].lower() if word else ""
    if group.marked:
        return previous.rstrip(".") not in _CITED
    article = bool(group.labels & {"A", "I"} and _LOWER.match(after))
    named = bool(_NAMES_OPTION.fullmatch(previous))
    if (not previous or named or previous in _SUBJECT) and (_CALLED_RIGHT.match(after) or _OPTION_BEHIND.match(after)):
        return True
    if named:
        return not article or bool(_ENDS.match(after))
    if any(_has_own_text(label, text, listed) for label in group.labels) and not _COMPARED.search(before):
        return not previous or previous in _CHOOSES or _beside_own_text(group, text, listed)
    if leads:
        if not answered and _INITIAL.match(after):
            return False
        return bool(_ENDS.match(after)) or (answered and not article and bool(re.match(r"\s+[a-z0-9\\$]", after)))
    if not _ENDS.match(after) or _SURNAME.match(after):
        return False
    if previous:
        return previous in _CHOOSES or bool(_SETTLES.search(before))
    return _may_stand_behind(before.rstrip(), after, listed)


def _may_stand_behind(before: str, after: str, listed: Mapping[str, str]) -> bool:
    """Return whether a letter behind a sign is stated: after a colon or an arrow, alone in its sentence, `helium, C`."""
    if before.endswith((":", "→", "⇒", "=>", "->", ">>", "—", "–", "：", "选", "是", "为", "项", "择")):
        return True
    ends = re.match(r"\W*$", after) is not None
    if before.endswith((".", "!", "?", ";")):
        return ends
    return ends and before.endswith((",", "-")) and bool(listed)


def _is_denied(before: str, after: str) -> bool:
    if _DENIED_BEHIND.match(after):
        return True
    if _NOT_BUT.match(before):
        return takes_back("", after)
    before = before.rpartition(";")[2]
    if (word := _BUT.search(before)) and word[1].lower() not in _ALL:
        return takes_back("", after)  # a new clause
    last = re.sub(r"^\s*but\s*$", "", before.rpartition(",")[2])
    before = re.sub(r",\s*but\s*$", "", before)
    return takes_back(last if last.strip() else before, after)


def _has_own_text(label: str, text: str, listed: Mapping[str, str]) -> bool:
    return bool(listed.get(label)) and listed[label] in text.lower()


def _beside_own_text(group: _Group, text: str, listed: Mapping[str, str]) -> bool:
    if len(group.labels) > 1:
        return False
    own = listed[min(group.labels)]
    before, after = text[: group.start].lower().rstrip(" ,:-(["), text[group.end :].lower().lstrip(" ,:-.)]")
    return before.endswith(own) or after.startswith(own)
