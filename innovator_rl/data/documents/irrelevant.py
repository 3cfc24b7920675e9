"""Remove what is not part of a scientific text: stamps, copyright lines, page controls, tables of contents.

Headings, references, captions and text in any language stay.

    removed = remove_irrelevant(text)
    removed.text, removed.reasons

Only whole lines and short paragraphs go, never one with a formula, a table or code.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from innovator_rl.data.documents.spans import outside

LONGEST = 400
"""Characters of a paragraph that is removed for what it says, at most."""

PATTERNS: dict[str, tuple[str, ...]] = {
    "download stamps": (
        r"^(?:this content )?downloaded (?:from|by|on|via)\b.*",
        r"^(?:access (?:provided|granted) (?:by|to)|authorized licensed use limited to)\b.*",
        r"^arxiv:\d{4}\.\d{4,5}(?:v\d+)?\b.*",
        r"^(?:see discussions, stats, and author profiles for this publication at)\b.*",
        r"^(?:this (?:page|article) (?:was )?(?:intentionally left blank|is available online at)).*",
        r"^(?:page intentionally left blank)\W*$",
    ),
    "copyright lines": (
        r"^(?:copyright\b|©|\(c\)\s*\d{4}).*",
        r"^.{0,80}\ball rights reserved\b.*",
        r"^(?:reprints and permissions?|terms (?:of use|and conditions)|privacy policy)\b.*",
        r"^(?:版权所有|未经许可|保留所有权利|©).*",
    ),
    "page controls": (
        r"^(?:we use cookies|this (?:site|website) uses cookies|accept (?:all )?cookies|cookie (?:policy|settings))\b.*",
        r"^(?:share (?:this|on)|follow us|tweet|like us|sign (?:in|up)|log ?in|subscribe|advertisement|skip to)\b.{0,80}$",
        r"^(?:previous|next)(?: (?:article|chapter|page|section))?(?:\s*[|»›>→-]\s*.{0,60})?$",
        r"^(?:click here|read more|show more|back to top|view (?:all|full)|print this page|enlarge image)\b.{0,60}$",
        r"^(?:上一篇|下一篇|扫码|扫描二维码|关注公众号|点击|返回顶部|分享到|登录|注册|广告).{0,40}$",
    ),
    "publication notes": (
        r"^(?:please cite this (?:article|paper)|how to cite|article history|received:?\s+\d).*",
        r"^(?:corresponding author|e-?mail(?: address)?|tel(?:ephone)?|fax)\s*:.*",
        r"^(?:isbn|issn|doi|pacs(?: numbers?)?)\b[\s:]*[\d./A-Za-z();-]*$",
        r"^(?:https?://\S+|www\.\S+)$",
    ),
    "tables of contents": (r"^[^\n]{2,120}?(?:\s?\.){4,}\s*\d{1,4}$", r"^[^\n]{2,120}?…{2,}\s*\d{1,4}$"),
}
_COMPILED = {reason: re.compile("|".join(patterns), re.I) for reason, patterns in PATTERNS.items()}
_GAP = re.compile(r"(\n[ \t]*\n\s*)")


@dataclass(frozen=True, slots=True)
class Removed:
    """A text without irrelevant passages, and the passages removed by reason."""

    text: str
    reasons: dict[str, int] = field(default_factory=dict)


def remove_irrelevant(text: str) -> Removed:
    """Return a Markdown text without passages that are not part of it."""
    marks = {}
    place = 0
    for piece, protected in outside(text):
        if protected:
            marks[place] = place + len(piece)
        place += len(piece)
    reasons: Counter[str] = Counter()
    kept: list[str] = []
    place = 0
    parts = _GAP.split(text)
    for number, part in enumerate(parts):
        gap = number % 2 == 1
        touched = not gap and any(start < place + len(part) and end > place for start, end in marks.items())
        place += len(part)
        if gap or touched:
            kept.append(part)
            continue
        lines = []
        for line in part.split("\n"):
            reason = line_reason(line)
            if reason:
                reasons[reason] += 1
            else:
                lines.append(line)
        if lines:
            kept.append("\n".join(lines))
        elif kept:
            kept.pop()  # the gap before it goes as well
    return Removed("".join(kept).lstrip("\n") if reasons else text, dict(reasons))


def line_reason(line: str) -> str:
    """Return why a line is not part of a text; empty when it is."""
    stripped = line.strip().strip("*_ ")
    if not stripped or len(stripped) > LONGEST or stripped.startswith(("#", "|")):
        return ""
    return next((reason for reason, pattern in _COMPILED.items() if pattern.match(stripped)), "")
