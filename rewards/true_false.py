"""Read which side a statement takes, and whether it takes back what it names.

A commitment is one of true, false, yes, no (or 1, 0, T, F standing alone), with negations undone. Both sides, neither
side, "could be true", "true or not" and "I cannot tell" are none.
"""

from __future__ import annotations

import re

from rewards.extraction import unmarked

_TRUE, _FALSE = (
    {
        "true",
        "yes",
        "t",
        "y",
        "1",
        "1.0",
        "correct",
        "right",
        "正确",
        "对",
        "是",
        "是的",
        "真",
        "√",
        "✓",
        "✔",
        "yep",
        "yeah",
    },
    {
        "false",
        "no",
        "f",
        "n",
        "0",
        "0.0",
        "incorrect",
        "wrong",
        "untrue",
        "错误",
        "错",
        "否",
        "不是",
        "不对",
        "不正确",
        "假",
        "×",
        "✗",
        "✘",
        "nope",
    },
)
_TRUE |= {"成立", "属实", "✓", "✔", "✅", "yep", "yeah", "certainly", "of course", "absolutely", "definitely"}
_FALSE |= {
    "不成立",
    "不属实",
    "✗",
    "✘",
    "❌",
    "nope",
    "certainly not",
    "of course not",
    "absolutely not",
    "definitely not",
}
_TEX_TEXT = re.compile(r"\\(?:text|textbf|textit|texttt|mathrm|mathbf)\s*\{([^{}]*)\}")
_LABEL = re.compile(
    r"^\W*(?:(?:thus|so|hence|therefore)\b[\s,:]*)?(?:the\s+)?(?:final\s+|predicted\s+)?(?:answer|label|class|prediction|result|verdict)[\"']?\s*(?:is|:|=)+\s*",
    re.IGNORECASE,
)
_WORD = re.compile(r"\b(true|false|untrue|incorrect|correct|wrong|right)\b", re.IGNORECASE)
_REWRITTEN: tuple[
    tuple[re.Pattern[str], str], ...
] = (  # statements without a truth word of their own place, as one with it
    (
        re.compile(r"\b(?:unlikely|improbable)\s+(?:to\s+be|that\s+(?:it|this)\s+is)\s+(?=true|false|correct)", re.I),
        "not ",
    ),
    (
        re.compile(
            r"\b(true|false|yes|no)\b[\"'*`]*\s+(?:is|would\s+be|was)\s+(?:\w+ly\s+)?"
            r"(?:incorrect|wrong|false|untrue|not\s+(?:correct|right|true))\b",
            re.I,
        ),
        r"not \1",
    ),
    (
        re.compile(
            r"\b(claim|statement|assertion|proposition|property|it|this)\s+(?:(?:still\s+|indeed\s+)?holds|does\s+hold)\b",
            re.I,
        ),
        r"\1 is true",
    ),
    (
        re.compile(
            r"\b(claim|statement|assertion|proposition|property|it|this)\s+(?:does\s*n[o’']t|does\s+not|fails\s+to|cannot)\s+hold\b",
            re.I,
        ),
        r"\1 is false",
    ),
)
_CLAIM = r"\b(claim|statement|assertion|proposition|hypothesis|assumption)\s+"
_VERB = r"((?:is|was|seems|appears)(?:\s+not|n[’']t)?(?:\s+to\s+be)?\s+(?:(?:\w+ly|indeed|quite|also)\s+)?)"
_REWRITTEN += (
    (re.compile(_CLAIM + _VERB + r"(?:accurate|valid|sound|factual|supported|confirmed)\b", re.I), r"\1 \2true"),
    (
        re.compile(
            _CLAIM
            + _VERB
            + r"(?:inaccurate|invalid|unsound|unsupported|unfounded|mistaken|erroneous|flawed|refuted)\b",
            re.I,
        ),
        r"\1 \2false",
    ),
    (re.compile(_CLAIM + r"fails\b", re.I), r"\1 is false"),
)
_REWRITTEN += (
    (
        re.compile(
            r"\b(true|false|yes|no)\b[\"'*`]*\s+(?:is|was|would\s+be)\s+not\s+(?:the|my|an)\s+(?:\w+\s+)?answer\b", re.I
        ),
        r"not \1",
    ),
)
_CONTRADICTION = re.compile(
    r"^\W*(?:(?:true|yes)\W{1,4}0(?:\.0)?|(?:false|no)\W{1,4}1(?:\.0)?)\W*$|"
    r"\b(?:(?:not\s+|un)true|false|wrong|incorrect)\s+that\b[^.;\n]{0,80}\b(?:true|false|wrong|incorrect)\b|"
    r"\bcan\s+(?:also\s+|well\s+)?be\s+(?:true|false|correct|right|wrong)\b",
    re.IGNORECASE,
)
_CHINESE_CLAIM = re.compile(
    r"(?:题干|题目|该|这个|这种|此|上述|以上|原)?的?(?:说法|陈述|命题|论断|结论|判断|论述|叙述|描述|观点)\s*(?:是|为)?\s*"
    r"(?:(正确|对|真|成立)|错误?|假|不正确|不对|不成立|有误)的?"
)
_PART = re.compile(
    r"\b(?:partly|partially|half|(?:sort|kind)\s+of|somewhat|almost|nearly|mostly|largely|sometimes|rarely|seldom|often|usually|quasi|semi|"
    r"more\s+or\s+less|(?:in|for)\s+(?:some|many|most|certain)\s+\w+|(?:not|n[’']t)\s+(?:fully|completely|totally|wholly|always))[\s,-]+"
    r"(?:\w+\s+)?[\"'*`]*(?:true|false|yes|no|correct|incorrect|right|wrong)\b|"
    r"\b(?:true|false|yes|correct|incorrect|right|wrong)[\"'*`]*(?:-?ish\b|\W{1,3}(?:but\s+)?(?:partly|partially|sometimes|in\s+part|at\s+times|"
    r"(?:to|in)\s+(?:some|a\s+certain|a)\s+(?:extent|degree|sense|way)|(?:for|in)\s+(?:some|many|most|certain)|only\s+(?:if|when|for|in)|if|assuming)\b)|"
    r"\bhalf[\s-]truth\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\?[\s\"'*_`)!?]*$")
_LEAD = re.compile(r"\W*(yes\b|no\b(?=\s*(?:[,.;:!()*`—–-]|$)))", re.IGNORECASE)
_NO_WORD = re.compile(
    r"(?:\banswer\s+(?:is|:)\s*|[,;:.?]\s*)[\"'*`]*(yes|no)[\"'*`]*(?=\s*(?:[,.;:!]|$))", re.IGNORECASE
)
_NEGATION = re.compile(
    r"(?:\bnot|n[’']t|\bcannot|\bnever|\bhardly|\bbarely|\bscarcely|\bdoubt|\bno\s+longer|\banything\s+but|\bno|\bnothing|\bnobody|"
    r"\bdeny|\bwithout|\black(?:s|ing)?|\bless\s+than|\bopposite(?:\s+of)?|"
    r"\bfar\s+from|\binstead of|\brather than|\bas opposed to|\bneither|\bnor)"
    r"(?:\s+(?:be|being|says?|hold|really|the\s+case\s+that|it|it[’']s|this|that|is|answer|statement|the|quite|entirely|at\s+all|likely|very|probably|to|"
    r"simply|think|believe|say|considered|a|an)){0,6}\s+[\"'*`]*$",
    re.IGNORECASE,
)
_UNDECIDED = re.compile(
    r"\b(?:not\s+necessarily|could\s+(?:also\s+|well\s+)?be|might(?:\s+be)?|may\s+(?:or\s+may\s+not\s+)?be|possibly|perhaps|"
    r"maybe|either|neither|unless|except|or\s+not|unlikely|(?:true|false|yes)\W+not(?=\W*$)|\d{1,2}\s*%\s+(?:true|false)|undecided|50\s*[/-]\s*50|coin|depends|uncertain|unclear|unknown|hard\s+to\s+(?:say|tell)|"
    r"(?:can(?:no|’|')?t|can\s+not|unable\s+to|impossible\s+to|do(?:es)?\s*n[o’']t|not\s+possible\s+to)\s+"
    r"(?:be\s+)?(?:tell|say|know|determined?|decide[d]?|predict(?:ed)?|answer(?:ed)?)|no\s+idea|not\s+sure|unsure)\b",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:so|thus|hence|therefore|consequently)\b|[.!?]\s", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since|as|while|whereas)\b|[.!;]\s", re.IGNORECASE)
_DENIAL = re.compile(
    r"\b(?:not|never|neither|nor|except|but|besides|excluding|cannot|hardly|maybe|perhaps|possibly|either|unlikely|"
    r"far\s+from|rather\s+than|instead\s+of|other\s+than|apart\s+from|rules?\s+out|doubt|avoid|reject|exclude|deny)\b|n[’']t\b",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"[\s)\].:,?*\"'}$-]*(?:(?:is|was|would\s+be|seems|looks)\s+(?:\w+\s+)?(?:not|never|wrong|incorrect|false|"
    r"excluded|impossible|unlikely|ruled)\b|(?:can|could|may|must)\s+be\s+(?:ruled|excluded|rejected)|\?\s*no\b|(?:is|was|can|does)n?[’']t\b|cannot\b|"
    r"(?:wrong|incorrect|excluded|but|or|maybe|perhaps|unless|except)\b|not\W*$)",
    re.IGNORECASE,
)


def takes_back(before: str, after: str) -> bool:
    """Return whether a statement denies or leaves open the text between two strings.

    Examples are `not C`, `all except C`, `C is wrong`. Another sentence, a conclusion's premises and a reason given
    for it do not count.
    """
    around = _CONCLUSION.split(before)[-1], _REASON.split(after)[0]
    return bool(_DENIAL.search(around[0]) or _TAKEN_BACK.match(around[1]))


def parse_true_false(text: str) -> bool | str:
    """Return the side that a statement takes.

    Returns:
        `both` where it takes both or leaves it open, `neither` where it names none.
    """
    plain = _LABEL.sub("", _TEX_TEXT.sub(r"\1", text).strip()).strip()
    only = alone(plain)
    if only is not None:
        return only
    for pattern, statement in _REWRITTEN:
        plain = pattern.sub(statement, plain)
    if _ASKED.search(plain):
        return "both"
    if _UNDECIDED.search(plain) or _PART.search(plain) or _CONTRADICTION.search(plain):
        return "both"
    sides = {_side(word.group(1)) != bool(_NEGATION.search(plain[: word.start()])) for word in _words(plain)}
    if lead := _LEAD.match(plain):
        sides.add(lead.group(1).lower() == "yes")
    sides.update(word.lower() == "yes" for word in _NO_WORD.findall(plain))
    if re.search(
        r"\b(?:yes|true)\b\W{0,3}(?:or|/|and)\W{0,3}\b(?:no|false)\b|\b(?:no|false)\b\W{0,3}(?:or|/|and)\W{0,3}"
        r"\b(?:yes|true)\b",
        plain,
        re.IGNORECASE,
    ):
        return "both"
    return sides.pop() if len(sides) == 1 else "both" if sides else "neither"


def _words(text: str) -> list[re.Match[str]]:
    """Return the truth words of a text.

    `correct`, `right` and `wrong` count only as the predicate of a statement.
    """
    return [
        word
        for word in _WORD.finditer(text)
        if not re.search("correct|wrong|right", word.group(1), re.IGNORECASE)
        or re.search(r"\b(?:is|are|be|not|isn[’']t)\s+(?:\w+\s+)?$", text[: word.start()], re.IGNORECASE)
    ]


def _side(word: str) -> bool:
    return word.lower() in _TRUE


def alone(text: str) -> bool | None:
    """Return the side of a text that is nothing but a truth value."""
    plain = _LABEL.sub("", unmarked(_TEX_TEXT.sub(r"\1", text))).strip("{}()[]\"'`*_.!$ \n").lower()
    if claim := _CHINESE_CLAIM.fullmatch(plain.rstrip("。")):
        return claim[1] is not None
    return True if plain in _TRUE else False if plain in _FALSE else None
