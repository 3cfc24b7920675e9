"""Find the final answer in a response.

It is looked for in the part after the thinking: the last box, an answer tag, a phrase, or a bare answer. Plain string
scanning is linear in the length of the response: a regular expression over 30,000 characters of reasoning costs more
than the grading itself, and a nested quantifier over a model's text is a way to hang.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from rewards.equivalence.normalize import bare_of_parentheses, unmarked
from rewards.equivalence.plain_text import plain_text
from rewards.self_correction import instead, is_taken_back, owns_mistake

Kind = Literal["tag", "boxed", "phrase", "bare", "tail"]

_PHRASE = re.compile(
    r"(?:final\s+answer|correct\s+(?:answer|option|choice)|answer)s?\s*(?:\*\*)?\s*(?:is|are|:|=|：)\s*(?:\*\*)?\s*:?\s*|"
    r"(?:答案|结果|正确选项)\s*(?:\*\*)?\s*(?:应该|应当|应)?(?:是|为|等于|选|:|=)\s*(?:\*\*)?\s*:?\s*|"
    r"(?<![不非])(?:故|应|因此|所以|可)选(?:择|项)?\s*(?:是|为)?\s*:?\s*|"
    r"\[\s*(?:正确|参考|最终)?答案\s*\]\s*:?\s*|(?m:^)\s*答\s*:\s*|"
    r"\b(?:(?:richtige\s+)?antwort|(?:bonne\s+)?r[ée]ponse|respuesta|risposta|resposta)(?:\s+(?:finale?|correcta|correcte|corretta))?"
    r"\s*(?:ist|est|es|è|é|:|=)(?![a-z])\s*(?:\*\*)?\s*|\bответ\s*[:=—-]\s*|(?:答え|正解)\s*は\s*|(?:정답|답)\s*(?:은|는|:)\s*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[^\s])[.!?](?:\s|$)|\n")
_JOINT = re.compile(r"(?:\\(?:text|mathrm|textbf)\s*\{|\\q?quad|\\[()\[\],;: ]|[${}\s.]|\b(?:and|or)\b|[,;])+")
_HEDGE = re.compile(
    r"(?<![A-Za-z\\])(?:or(?!\s+equal)|either|maybe|perhaps|possibly|alternatively)(?![A-Za-z])|"
    r"\\(?:text|mathrm)\s*\{\s*or\s*\}|\\lor(?![a-z])"
)
_LIMITED = re.compile(
    r"\b(?:not|never|cannot|isn't|wrong|incorrect|instead|rather|except|between|(?:at\s+(?:least|most))|"
    r"(?:less|greater|more|fewer|larger|smaller)\s+than|over|under|unlikely|impossible|nicht|no\s+es|n['’]est\s+pas|не)\b",
    re.IGNORECASE,
)
_FACTOR = re.compile(r"\b(?:minus|negative|(?:half|twice|thrice|double|triple)(?:\s+of)?)[\s$(]*$", re.IGNORECASE)
_FORMULA = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_LAST_STATED = re.compile(
    r"^.*(?:\b(?:is|it's|are|equals?|be|gives?|get|obtain|have|yields?)\s*:?\s+|[:=≈]\s*)(\S.*)$", re.DOTALL
)
_LAST_NUMBER = re.compile(r"(?:^|[\s$(~≈])([-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?![\w^/])(?:\s*[^\s\d.,;]+)?)[^\d]*$")
_WORD = re.compile(r"(?<![\\A-Za-z])(?:[A-Za-z][a-z]{2,}|is\b)")
_DENIED = r"\b(?:not|no|never|wrong|false|incorrect|mistake\w*|or|if|unless|maybe|perhaps|n['’]t)\b"
_REMARK = re.compile(
    r",\s+(?:which|because|since|as|so|I\s+hope)\s[^\d=]*$|"
    rf"\s+[—–]\s+(?!.*{_DENIED})[a-z][^\d=]*$|"
    rf"\s+\((?!.*{_DENIED})(?:see|as|by|from|using|shown|which|rounded|exact(?:ly)?|check(?:ed)?|verified)\b[^()]*\)$",
    re.IGNORECASE,
)
_DENIES = re.compile(r"(?:definitely\s+|certainly\s+)?not\s+", re.IGNORECASE)
_CHECKED = re.compile(r"(?<=[\w.$)}])\s*[✓✔✅☑]+\s*$")
_POLITE = re.compile(r"\s*(?:です|입니다)[.\s]*$")
_SPECIAL = re.compile(r"<\|(?:im_start|im_end|endoftext|eot_id|end_of_text|end)\|>|</s>|<(?:eos|end_of_turn)>")
_ANSWER_TAG = re.compile(r"<(/?)(?:final[_ -]?)?answer>", re.IGNORECASE)
_BOX = re.compile(r"\\Boxed(?=\s*\{)|\x08oxed(?=\s*\{)|(?<![\\A-Za-z])boxed(?=\s*\{)|\\framebox(?=\s*\{)")
_NOT_BOX = re.compile(r"(?:\bnot|\brather\s+than|\binstead\s+of)[\s$]*$")
_FIELD = re.compile(
    r'["\'](?:final[_ ]?)?answer["\']\s*:\s*(?:"([^"\n]+)"|\'([^\'\n]+)\'|([^,}\n"\']+))\s*[,}]', re.IGNORECASE
)
_LEAD = re.compile(r"^\s*(?:[∴⇒→➡👉✅]\s*|综上(?:所述)?,?\s*|(?:因此|所以|于是|从而|故|即)(?!选),?\s*)+")
_LIST_MARK = re.compile(r"^\d{1,2}[.)]\s+(?=[^=\n]*(?:[-+*/×·÷^(]|\\(?:cdot|times|frac|div))[^=\n]*=)")
_EXPLAINS = re.compile(
    r"\W*(?:because|explanation|explained|reason(?:ing|s)?|since|note|justification|working|solution|here(?:['’]s|\s+is)|this\s+is|that\s+is)\b",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r".*\b(?:so|thus|therefore|hence|consequently|finally|conclusion|answer)\b", re.IGNORECASE)
_FINAL = re.compile(r"final\s+answer\s*(?:\*\*)?\s*(?:is|:)\s*(?:\*\*)?\s*:?\s*", re.IGNORECASE)
MAX_FINAL_CHARS = 100_000
MAX_TAIL_CHARS = 4_000
MAX_BARE_CHARS = 2_000
MAX_BOXES = 40
_MAX_GAP = 40


@dataclass(frozen=True)
class Found:
    """An answer's text and how it was marked.

    `bare` is a response that is nothing but the answer, `tail` an unmarked last line. `taken_back` is set where the
    words behind the answer take it back and state no other.
    """

    text: str
    kind: Kind
    taken_back: bool = False


def final_part(response: str, limit: int = MAX_FINAL_CHARS) -> str:
    """Return what follows the thinking, at most the last `limit` characters of it.

    A response that never leaves its `<think>` part has no final part.
    """
    window = response[-limit:]
    if stop := _SPECIAL.search(window, max(0, len(window) - MAX_TAIL_CHARS)):
        window = window[: stop.start()]
    end = window.rfind("</think>")
    if end >= 0:
        return window[end + len("</think>") :].strip()
    if len(window) < len(response) and "</think>" in response:
        return window.strip()
    start = response.find("<think>")
    return response[max(0, start - limit) : start].strip() if start >= 0 else window.strip()


def box_at(text: str, start: int) -> tuple[str, int] | None:
    """Return the content and the end of the box at `start`; None if never closed."""
    opening = start + len("\\boxed" if text.startswith("\\boxed", start) else "\\fbox")
    while text[opening : opening + 1].isspace():
        opening += 1
    if text[opening : opening + 1] != "{":
        words = text[opening : opening + 200].split()
        return (words[0].rstrip(".$"), opening + len(words[0])) if words else None
    depth, index = 0, opening
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return text[opening + 1 : index].strip(), index + 1
        index += 1
    return None


def boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` or `\fbox{...}`; None if cut off."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    found = box_at(text, start) if start >= 0 else None
    return found[0] if found else None


def all_boxed(text: str) -> list[str]:
    """Return every box outside other boxes, in order."""
    return [content for content, _, _ in _boxes(text)]


def _boxes(text: str) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    position = text.find("\\boxed")
    while position >= 0 and len(found) < 1_000:
        box = box_at(text, position)
        if box is not None:
            found.append((box[0], position, box[1]))
        position = text.find("\\boxed", box[1] if box else position + 6)
    return found


def last_boxes(text: str) -> tuple[str, int] | None:
    """Return the last box with those joined to it as one answer, and their number.

    "And", "or" or a comma join boxes.
    """
    last = _last_box(text)
    if last >= 0 and _NOT_BOX.search(text, max(0, last - _MAX_GAP), last) and _last_box(text[:last]) >= 0:
        text = text[:last]
        last = _last_box(text)
    if last < 0 or box_at(text, last) is None:
        return None
    window = text[max(0, last - MAX_TAIL_CHARS) :]
    boxes = _boxes(window)[-MAX_BOXES:] or [(boxed(text) or "", 0, 0)]
    joined, answer = 1, boxes[-1][0]
    for before, after in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
        gap = window[before[2] : after[1]]
        if len(gap) > _MAX_GAP or not _joins(gap):
            break
        joined += 1
        if before[0] != answer:
            answer = f"{before[0]} {'or' if _HEDGE.search(gap) else ','} {answer}"
    return answer, joined


def _last_box(text: str) -> int:
    return max(text.rfind("\\boxed"), text.rfind("\\fbox"))


def _joins(gap: str) -> bool:
    if re.search(r"\n\s*\n", gap):
        return False
    return bool(_JOINT.fullmatch(gap)) or (len(gap.split()) <= 8 and bool(re.search(r"\b(?:and|or)\b", gap))) or not gap


def find_answer(response: str) -> Found | None:
    """Return the final answer of a response.

    Returns:
        None when its final part is empty or its last box is cut off.
    """
    text = bare_of_parentheses(plain_text(_marked_alike(final_part(response))))
    if not text:
        return None
    close = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, close if close >= 0 else len(text))
    if opening >= 0:
        inner = text[opening + len("<answer>") : close if close > opening else len(text)].strip()
        content = boxed(inner) if "\\boxed" in inner else inner
        after = text[close + len("</answer>") :] if close > opening else ""
        if owns_mistake(after) and (other := instead(after)):
            content = _first_sentence(other)
        return Found(content, "tag") if content else None
    if "\\boxed" in text or "\\fbox" in text:
        if stated := _stated_after_boxes(text):
            return Found(stated, "phrase")
        boxes = last_boxes(text)
        denied = bool(_NOT_BOX.search(text[: text.find("\\boxed")])) and text.count("\\boxed") == 1
        return Found(boxes[0], "boxed", taken_back=denied) if boxes and boxes[0] else None
    tail = text[-MAX_TAIL_CHARS:]
    if "####" in tail:
        line = tail.rsplit("####", 1)[1].strip().split("\n")[0].strip()
        if line:
            return Found(line, "phrase")
    if fields := list(_FIELD.finditer(tail)):
        return Found((fields[-1][1] or fields[-1][2] or fields[-1][3]).strip(), "phrase")
    return _stated(tail) or _unmarked_answer(text, tail)


def _stated(tail: str) -> Found | None:
    """Return what the last answer phrase states; one that only denies something counts where there is no other."""
    denied: list[str] = []
    for phrase in reversed(list(_PHRASE.finditer(tail))):
        rest = tail[phrase.end() :]
        stated = _first_sentence(rest)
        if denies := _DENIES.match(stated):
            denied.append(stated[denies.end() :].strip())
            continue
        if not stated:
            break
        found = _unless_corrected(stated, rest[rest.find(stated) + len(stated) :])
        return replace(found, taken_back=found.taken_back or found.text in denied)
    return Found(f"not {denied[0]}", "phrase") if denied else None


def _marked_alike(text: str) -> str:
    r"""Return a text with every box as `\boxed` or `\fbox`, and every answer tag as `<answer>`."""
    if "oxed" in text or "\\framebox" in text:
        text = _BOX.sub(lambda match: "\\fbox" if "frame" in match.group() else "\\boxed", text)
    return _ANSWER_TAG.sub(r"<\1answer>", text) if "<" in text else text


def _unless_corrected(stated: str, after: str) -> Found:
    """Return a stated answer, or what the words behind it put in its place."""
    if not is_taken_back(after):
        return Found(stated, "phrase")
    other = _first_sentence(instead(after) or "")
    return Found(other or stated, "phrase", taken_back=not other)


def _stated_after_boxes(text: str) -> str | None:
    """Return what a "final answer is", or a correction, behind every box states: a number or a formula."""
    last = _last_box(text)
    box = box_at(text, last)
    end = box[1] if box else last
    if box and owns_mistake(text[end:]) and (other := instead(text[end:])):
        return _first_sentence(other)
    phrases = list(_FINAL.finditer(text, max(end, len(text) - MAX_TAIL_CHARS)))
    stated = _first_sentence(text[phrases[-1].end() :]) if phrases else ""
    return stated if re.search(r"[\d$\\]", stated) and len(stated) <= MAX_BARE_CHARS else None


def _unmarked_answer(text: str, tail: str) -> Found | None:
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    if len(set(lines)) == 1:
        text = tail = lines[0]
        lines = lines[:1]
    if len(lines) > 1 and all(map(_LIST_MARK.match, lines)):
        return Found(_LIST_MARK.sub("", lines[-1]), "tail")
    if len(text) <= MAX_BARE_CHARS and (len(lines) == 1 or not _WORD.search(text)):
        return Found(_LIST_MARK.sub("", _LEAD.sub("", text)), "bare")
    if len(tail) == len(text) and _states_first(lines):
        return Found(lines[0], "tail")
    for begin, end in (("\\[", "\\]"), ("$$", "$$"), ("\\begin{", "}")):
        closing = tail.rstrip(" .\n").removesuffix(end)
        if len(closing) < len(tail.rstrip(" .\n")) and (start := closing.rfind(begin)) >= 0:
            return Found(tail[start:].strip(), "tail")
    return Found(_LIST_MARK.sub("", _LEAD.sub("", lines[-1][-MAX_TAIL_CHARS:])), "tail")


def _states_first(lines: list[str]) -> bool:
    """Return whether the first line is a value without words, which the lines below explain."""
    value = bool(re.search(r"\d", lines[0])) and not _WORD.search(lines[0]) and "=" not in lines[0]
    return value and len(lines) > 1 and bool(_EXPLAINS.match(lines[1])) and not _CONCLUDES.match(lines[-1])


def _first_sentence(text: str) -> str:
    """Return the text up to the end of the sentence or line.

    A display formula or a box that follows on the next line belongs to it.
    """
    text = (
        _CHECKED.sub("", text.lstrip().partition("\n")[0])
        if _CHECKED.search(text.partition("\n")[0])
        else text.lstrip()
    )
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("$", "$"), ("\\(", "\\)")):
        if text.startswith(opening):
            end = text.find(closing, len(opening))
            if end > 0:
                rest = text[end + len(closing) :]
                rest = "" if rest[:1] in (".", "\n") else _SENTENCE_END.split(rest, maxsplit=1)[0]
                return text[: end + len(closing)] + rest
    text = _POLITE.sub("", text.partition("\n")[0]) if _POLITE.search(text) else text
    end_of = _SENTENCE_END.search(text)
    return (text[: end_of.start()] if end_of else text).strip().strip("*").strip().rstrip(".").strip()


def hedged(text: str) -> bool:
    """Return whether an answer offers alternatives."""
    return bool(_HEDGE.search(text))


def candidates(found: Found) -> list[str]:
    """Return readings of an answer, the whole first.

    Of a sentence there are also its last formula, its last statement ("... is 5 m") and its only number, unless it
    denies or limits what it states.
    """
    texts = [found.text]
    if found.kind == "boxed" or not _WORD.search(found.text):
        return texts
    plain = re.sub(r"[*\s.]+$", "", _REMARK.sub("", found.text))
    matches = [*_FORMULA.finditer(plain, max(0, len(plain) - MAX_BARE_CHARS))][-1:]
    if stated := _LAST_STATED.match(plain):
        matches.append(stated)
    if (number := _LAST_NUMBER.search(plain)) and (
        found.kind in ("tail", "bare") or len(re.findall(r"\d+", plain)) == 1
    ):
        matches.append(number)
    for match in matches:
        place = match.lastindex or 1
        if _FACTOR.search(plain[max(0, match.start(place) - 60) : match.start(place)]):
            continue
        before = " ".join(plain[max(0, match.start(place) - 60) : match.start(place)].split()[-3:])
        if not _LIMITED.search(before) and not _LIMITED.search(match.group(place)):
            texts.append(match.group(place).strip(" $"))
    return list(dict.fromkeys(texts))


__all__ = ["Found", "candidates", "final_part", "find_answer", "hedged", "unmarked"]
