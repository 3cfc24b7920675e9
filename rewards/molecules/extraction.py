r"""Find the molecule that a response commits to.

It is looked for in this order: a `<answer>` tag or `\boxed{}`, a sentence such as "the final answer is", a final part
that is one molecule, the molecule in the last line. A response that puts different molecules in the place of the answer
commits to none of them; one that denies a molecule ("the answer is not ...", "... is wrong") does not offer it, nor does
one that names another molecule by way of it ("the methyl ester of ..."). Prose around a structure is passed over: of its
words, those that read as a molecule count. A first line that is one molecule wins over the parts of it that an
explanation below names.
"""

from __future__ import annotations

import re

from rewards.extraction import Found, all_boxed, boxed, final_part, find_answer
from rewards.molecules.parsing import MAX_TEXT_CHARS, UnreadableMolecule, is_selfies, read_molecule
from rewards.true_false import takes_back

MAX_CANDIDATES = 8
NEARBY_CHARS = 300
_RUN = re.compile(
    r"(?<![^\s`\"':>*$])(?<!->)(?:\[[^\[\]\s]{1,30}\]\s{0,4}(?:\.(?=\s{0,4}\[))?\s{0,4}){1,1600}(?=[\s`\"',;<*$\[]|[.)](?:\s|$)|$|(?<=\s))"
)
_TEX_TEXT = re.compile(r"\\(?:text|texttt|textbf|textit|textsf|mathrm|mathtt|mathbf|mathsf|ce)\s*\{(.*)\}", re.DOTALL)
_FENCE = re.compile(r"^```[a-zA-Z]{0,12}\n?|```$")
_LABEL = re.compile(
    r"^(?:the\s+)?(?:final\s+)?(?:answer|molecule|selfies|smiles|structure|[该此]?(?:分子|化合物|结构|答案)(?:的?\s{0,2}(?:smiles|selfies|结构))?)"
    r"\s*(?:is|是|为|:|=|：)+\s*",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"<\|?/?(?:begin|end|start)_of_(?:selfies|smiles|mol\w{0,20})\|?>|<\|/?(?:selfies|smiles|mol)\w{0,20}\|>|"
    r"</?s>|<(?:pad|sos|eos|bos|unk)>|\[(?:PAD|EOS|BOS|SOS)\]",
    re.IGNORECASE,
)
_GAP = re.compile(r"[^\S\n]{2,}")
_MOLECULE_TAG = re.compile(r"</?(?:smiles|selfies|molecule|mol)>", re.IGNORECASE)
_FIELD = re.compile(
    r"[{,]\s*([\"'])(?:smiles|selfies|molecule|answer)\1\s*:\s*([\"'])([^\"'\n]{1,24000})\2(?=\s*[,}])",
    re.IGNORECASE,
)
_PLAIN_MARKS = str.maketrans(dict.fromkeys("“”„«»「」『』", '"') | dict.fromkeys("‘’‚‹›", "'"))
_MARKUP = re.compile(
    r"</?(?:b|i|em|strong|code|pre|tt|p|br|span|div)\s{0,3}/?>|\\[()]|^\s*\\\[|\\\]\s*$", re.IGNORECASE | re.MULTILINE
)
_REMARK = re.compile(r"(\S+)\s+(?:\([^()]{0,400}(?:\([^()]{0,100}\)[^()]{0,200}){0,4}\))\.?")
_REMARK_DENIES = re.compile(
    r"\s+\(\s*(?:not|wrong|incorrect|false|no|never|or|and|also|maybe|perhaps|possibly|alternatively)\b", re.IGNORECASE
)
_NOT_SO = re.compile(
    r"(?:\b(?:not\s+(?:true|correct|right|the\s+case|think|believe|say)|untrue|false|wrong|incorrect|(?<!no\s)doubt|deny)|"
    r"n['’]t\s+(?:true|correct|right|think|believe|say))\b[^.;\n]{0,40}$",
    re.IGNORECASE,
)
_HEDGED_END = re.compile(r"[,;]\s*(?:maybe|perhaps|possibly|or\s+not|not\s+sure|i\s+guess)\W*$", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*(?:\bor\b|\band\b|[,;|\n])\s*", re.IGNORECASE)
_ENDS = "`$ \n,;。，；、"
_BULLET = re.compile(r"^(?:[-*]|\(?\d{1,2}[.)])\s+")
_STRUCTURE = re.compile(r"(?=.*[\]\)=#@*]|[BCNOPSFI]{2,}$)(?:[A-Za-z0-9@+\[\]()=#$:./\\\\%*]|->|<-|-)+")
_RELATION = (
    r"(?:esters?|amides?|salts?|anhydrides?|(?:\w+)?isomers?|epimers?|anomers?|tautomers?|enantiomers?|antipode|racemate|"
    r"derivatives?|conjugates?|adducts?|complex|hydrates?|solvates?|hydrochlorides?|\w?dimers?|trimers?|oligomers?|polymers?|"
    r"monomers?|analogs?|analogues?|homologs?|homologues?|precursors?|metabolites?|prodrugs?|anion|cation|ion|oxide|acetate|ether)"
)
_WRITTEN = "".join(
    rf"(?<!{noun} )"
    for noun in (
        "structure",
        "smiles",
        "selfies",
        "string",
        "notation",
        "representation",
        "formula",
        "encoding",
        "name",
        "form",
        "consists",
    )
)
_POINTING = (
    r"(?:(?:the|an?|this|that|its|compound|molecule|acid|base|parent|original|following|given)\s*[:=]?\s+){0,4}[\W_]*$"
)
_OTHER = re.compile(
    r"\b(?:different\s+from|unlike|opposite\s+of|differs?\s+from)\b|(?:"
    rf"{_WRITTEN}\bof|(?<!in the )\bform\s+of|\b(?:than|without|from|for|on|in|with|like|lacking|replacing|containing|"
    r"before|after|plus|minus)|"
    r"\b(?:similar|related|close|analogous|isomeric|compared|homologous|attached|bound|linked|conjugated?)\s+to|"
    rf"\b(?:without|lacking|except|minus)\s[^,;:]{{1,80}}\bas)\b[\s:=]+{_POINTING}|"
    rf"(?:{_WRITTEN}\bof|\bthan|\bfrom)\s+(?:(?:the|an?|this|that|compound|molecule|structure|smiles|selfies)\s*[:=]?\s*){{1,4}}[\W_]*$|"
    r"\b(?:of|between|from|with)\s[^,;:.]{1,200}\b(?:and|or)\s+(?:the\s+)?$",
    re.IGNORECASE,
)
"""What stands before a structure by way of which another molecule is named."""
_OTHER_BEHIND = re.compile(
    rf"['’]s\s+(?:\w+[\s-]+){{0,2}}{_RELATION}\b|[\s-]+(?!(?:is|was|are|has|which|as|the|an?|with|and|or|for|in)\b)(?:[\w-]+\s+)?{_RELATION}\b|"
    r"\s+(?:but\s+)?(?:without|minus|plus|lacking|with\s+(?:an?\s+|one\s+|the\s+)?(?:[\w-]+\s+){0,3}(?:extra|additional|more|fewer|less|"
    r"instead|replaced|removed|added|inverted))\b",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(
    r"\W*(?:explanation|reason(?:ing)?|rationale|justification|notes?|because|here|where|解释|说明|理由)\b\W",
    re.IGNORECASE,
)
_RETRACTS = re.compile(
    r"\b(?:this|that|it|which|above|first)\s+(?:is|was)\s+(?:not\s+(?:the\s+(?:\w+\s+)?answer|correct|right)|wrong|incorrect)\b",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"\b(?:wait|actually|instead|rather|wrong|incorrect|correct(?:ion|ed|ing)?|however|alternatives?|alternatively|better|answer|second\s+thought|"
    r"mistake|sorry|should|could|maybe|perhaps|possibly|revised?|final)\b",
    re.IGNORECASE,
)
_CHANGED = r"(?:\w*(?:ylated|inated|genated|tonated|olys[ez]d)|reduced|oxidi[sz]ed|esterified)"
_REFUSED = re.compile(
    r"\b(?:wrong|incorrect|invalid|false|none\s+of|refus\w+|declin\w+)\b(?!.*\b(?:so|thus|hence|therefore|but|instead|use)\b)[^.;]{0,60}$|"
    r"(?:\\n(?:eq?|ot)(?![a-z])|≠|!=|\s![\s=]*|¬|不是|并非|而非|不会是|不可能是|不应是|排除|除了|[❌✗✘🚫]|"
    r"\b(?:no|nicht|kein\w*|no\s+es|não\s+é|non\s+è|n['’]est\s+pas|не|take|replace|remove|convert|modify|"
    r"methyl|ethyl|acetyl|benzyl|phenyl|hydroxy|chloro|bromo|fluoro|iodo|nitro|amino|oxo|dehydro|dihydro|homo|nor)|"
    rf"\b{_CHANGED})[\s:：`'\"$]*$",
    re.IGNORECASE,
)
"""What stands before a molecule that is denied or that is only the start of another."""
_REFUSED_BEHIND = re.compile(
    rf"\W*(?:是|为)?(?:错误|错的|不对|不正确|不是|吗|以外|之外)|[\s,(]*{_CHANGED}\W*$", re.IGNORECASE
)
_TAKEN_BACK = re.compile(
    r"\W*(?:(?:no(?:pe)?|not\s+(?:really|correct|right|true)|wrong|incorrect|just\s+kidding|never\s*mind|scratch\s+that|oops)\W*$|"
    r"(?:no\W+)?(?:(?:that|this|it|which)['’]?\s*)?(?:is|was|s)\s+(?:wrong|incorrect|false|not\s+(?:right|correct|true|the\s+answer))\b)",
    re.IGNORECASE,
)
_NOT_BUT = r"\bnot\s+(?!only|just|merely|simply|sure|certain|confident)[^,;:.]{1,300}?\bbut\s"
_REASON = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
_ELEMENTS = re.compile(r"(?:Br|Cl|[BCNOPSFI]|[bcnops]|\d|[()=#.-]){1,200}")
_OTHER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def candidates(response: str, dummies: bool = False) -> list[str]:
    """Return the candidates in the place of the answer: none, one, or several.

    Args:
        response: The response.
        dummies: Whether a star at an end belongs to the molecule (`*CC(=O)O`), and is no Markdown.
    """
    response = _tidy(response)
    found = find_answer(response)
    if found is None:
        return []
    text = final_part(response)
    if _TAKEN_BACK.match(text[-NEARBY_CHARS:].rsplit("</answer>", 1)[-1]) and "</answer>" in text[-NEARBY_CHARS:]:
        return [text[-MAX_TEXT_CHARS:]]  # denied: no molecule
    if found.kind in ("tag", "boxed"):
        marked = _OTHER_TAG.findall(text[-2 * MAX_TEXT_CHARS :]) if found.kind == "tag" else all_boxed(text)
        marked = [boxed(mark) or mark for mark in marked[-MAX_CANDIDATES:]] or [found.text]
        return _distinct([part for mark in marked for part in _offered(mark, dummies)])
    return _unmarked(found, text, dummies)


def denied_before(text: str, place: int) -> bool:
    """Return whether what stands before an answer denies it ("I do not think that the answer is ...")."""
    return bool(_NOT_SO.search(text[max(0, place - 200) : max(0, place)]))


def _tidy(response: str) -> str:
    """Return a response with the marks of chat templates and molecule tokens dropped, and other tags as `<answer>`."""
    text = _TOKEN.sub("", response).translate(_PLAIN_MARKS)
    text = _GAP.sub(" ", _MARKUP.sub(" ", text.replace("&lt;", "<").replace("&gt;", ">")))
    end = final_part(text)
    if "<answer>" in end:
        return _MOLECULE_TAG.sub(" ", text)
    if fields := [field[3] for field in _FIELD.finditer(end[-2 * MAX_TEXT_CHARS :])]:
        return "".join(f"<answer>{value.replace(chr(92) * 2, chr(92))}</answer>" for value in fields)
    return _MOLECULE_TAG.sub(lambda tag: "</answer>" if tag.group().startswith("</") else "<answer>", text)


def _unmarked(found: Found, text: str, dummies: bool) -> list[str]:
    if first := _explained(text, dummies):
        return [first]
    text = _plain(text, dummies)
    if len(text) <= MAX_TEXT_CHARS and (_one_molecule(text) or not re.search(r"\s", text)):
        return [text]
    lines = [line.strip() for line in text[-4 * MAX_TEXT_CHARS :].splitlines() if line.strip(" `")]
    if not lines:
        return []
    back = len(lines) > 1 and bool(_RETRACTS.search(lines[-1]) or _TAKEN_BACK.fullmatch(lines[-1]))
    if len(lines) > 1 and found.kind != "phrase" and (back or _names_another(lines[-2] + " ")):
        return [lines[-1] if back else lines[-2]]  # another molecule, or one that is taken back
    tail = lines[-1]
    if found.kind == "phrase":
        place = text.rfind(found.text)
        if denied_before(text, place):
            return [text[-MAX_TEXT_CHARS:]]  # denied: no molecule
        tail = "*" * (dummies and text[place - 1 : place] == "*") + found.text
        tail += "*" * (dummies and text[place + len(found.text) :][:1] == "*")
    if len(tail) > MAX_TEXT_CHARS and _RUN.fullmatch(tail[:200].rsplit("]", 1)[0] + "]"):
        return [tail]  # nothing but symbols, and too many: refused by its length
    tail = tail[-MAX_TEXT_CHARS:]
    if (run := _RUN.search(tail)) and _not_offered(tail[: run.start()], tail[run.end() :].lstrip(" .")):
        return [tail]  # denied: no molecule
    runs = _runs(tail)
    if found.kind != "phrase" and not any(run.count("[") > 1 for run in runs):  # a remark after the molecule
        longer = [run for run in _runs("\n".join(lines)[-MAX_TEXT_CHARS:]) if run.count("[") > 1]
        runs = longer or runs
    hedged = re.search(r"\bor\b", tail, re.IGNORECASE)
    if not hedged and (longer := [run for run in runs if run.count("[") > 1]):
        runs = longer
    if runs:
        stated = _plain(tail, dummies)
        if not re.search(r"\s", stated) and _reads(stated):  # a line of SMILES behind SELFIES
            runs = [*runs, stated]
        return _distinct([*_listed(lines, dummies), *runs] if found.kind != "phrase" else runs)
    parts = _offered(tail, dummies)
    return _distinct([*_listed(lines, dummies), *parts] if found.kind != "phrase" else parts)


def _explained(text: str, dummies: bool) -> str:
    """Return the molecule of a first line that an explanation of its parts follows, empty where there is none."""
    lines = [line.strip() for line in text[: 4 * MAX_TEXT_CHARS].splitlines() if line.strip()]
    if len(lines) < 2 or not _EXPLAINS.match(lines[1]) or _TURNS.search("\n".join(lines[1:])):
        return ""
    first = _plain(lines[0], dummies)
    if re.search(r"\s", first) or not (size := _size(first)):
        return ""
    words = [_core(word, dummies) for line in lines[1:] for word in line.split()[: 8 * MAX_CANDIDATES]]
    named = [word for word in words[: 8 * MAX_CANDIDATES] if _STRUCTURE.fullmatch(word)]
    return first if all(_size(word) < size for word in named) else ""


def _not_offered(before: str, after: str) -> bool:
    """Return whether the text around a SELFIES string denies it or names another molecule by way of it."""
    clause = _clause(before)
    return _denies(clause, "") or _names_another(clause, f" {after}")


def _denies(before: str, after: str) -> bool:
    """Return whether a statement denies the molecule between two strings."""
    near = before[-NEARBY_CHARS:], after[:NEARBY_CHARS]
    return takes_back(before, after) or bool(_REFUSED.search(near[0]) or _REFUSED_BEHIND.match(near[1]))


def _names_another(before: str, after: str = "") -> bool:
    """Return whether another molecule is named by way of the one that stands between two strings."""
    return bool(_OTHER.search(before[-NEARBY_CHARS:]) or _OTHER_BEHIND.match(after[:NEARBY_CHARS]))


def _runs(text: str) -> list[str]:
    return [run.strip().rstrip(".") for run in _RUN.findall(text)]


def _clause(before: str) -> str:
    return re.split(rf"[,;:]\s|{_NOT_BUT}", re.sub(r"[:=]\s*$", " ", before), flags=re.IGNORECASE)[-1]


def _offered(text: str, dummies: bool) -> list[str]:
    """Return the molecules that a short text offers, the text itself where it names none.

    One unbroken molecule over several lines of SELFIES is one; so is the same line written twice.
    """
    plain = _plain(text, dummies)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    if len(lines) > 1 and len(set(lines)) == 1:
        plain = lines[0]
    if not plain or _one_molecule(plain) or _HEDGED_END.search(plain):
        return [plain] if plain else []
    if remark := _REMARK.fullmatch(plain):
        if _REMARK_DENIES.match(plain[remark.end(1) :]) or _REFUSED_BEHIND.match(plain[remark.end(1) :]):
            return [plain]
        inner = plain[remark.end(1) :].strip(" .")[1:-1]
        named = not re.search(r"\s", inner) and not _reads(remark.group(1)) and _reads(inner)  # `aspirin (CC(=O)O...)`
        plain = inner if named else remark.group(1)
    if not re.search(r"\s", plain):
        return [one for one in (_plain(part, dummies) for part in _SEPARATOR.split(plain)) if one][:MAX_CANDIDATES]
    said: list[str] = []
    start = 0
    for _ in range(MAX_CANDIDATES):
        gap = _SEPARATOR.search(plain, start)
        said += _of_prose(plain[start : gap.start() if gap else None], dummies, plain[max(0, start - 300) : start])
        if gap is None or gap.end() == start:
            break
        start = gap.end()
    return said or [plain[:MAX_TEXT_CHARS]]


def _of_prose(part: str, dummies: bool, context: str) -> list[str]:
    """Return the words of a statement that read as molecules and are not denied; a single word as it is.

    Args:
        part: The statement.
        dummies: Whether a star at an end belongs to a molecule.
        context: What stands before the statement.
    """
    alone = _plain(part, dummies)
    if not alone or (_names_another(context) and re.search(r"(?:and|or)\s+$", context)):
        return []
    if _one_molecule(alone) or not re.search(r"\s", alone):
        return [alone]
    found: list[str] = []
    words = [*re.finditer(r"\S+", part)]
    end = len(part)
    for number, word in enumerate(words):
        if _REASON.search(part, end, word.start()):
            break  # what is named as a reason is no other answer
        core = _core(word.group(), dummies)
        last = number == len(words) - 1
        if not (_STRUCTURE.fullmatch(core) or (last and _ELEMENTS.fullmatch(core))) or not _reads(core):
            continue
        before = _clause(part[: word.start()])
        if _names_another(before, part[word.end() :]):
            continue
        if not _denies(before, part[word.end() :].lstrip(" (")) and not word.group().endswith("?"):
            found.append(core)
            end = word.end()
    return found[:MAX_CANDIDATES]


def _core(word: str, dummies: bool) -> str:
    word = word.strip("`\"',;:!?.。，；、" + ("" if dummies else "*"))
    while word.startswith("(") and (word.endswith(")") or word.count("(") > word.count(")")):
        word = word[1:-1] if word.endswith(")") and word.count("(") == word.count(")") else word[1:]
    return word[:-1] if word.count(")") > word.count("(") and word.endswith(")") else word


def _reads(text: str) -> bool:
    return _size(text) > 0


def _size(text: str) -> int:
    """Return the number of atoms of the molecule that a text writes, 0 where it writes none."""
    try:
        return int(read_molecule(text).GetNumAtoms())
    except UnreadableMolecule:
        return 0


def _listed(lines: list[str], dummies: bool) -> list[str]:
    """Return the lines before the last that each offer a structure as an answer."""
    offered = [_plain(_BULLET.sub("", line), dummies) for line in lines[-MAX_CANDIDATES:-1]]
    return [line for line in offered if len(line) <= MAX_TEXT_CHARS and _STRUCTURE.fullmatch(line)]


def _one_molecule(text: str) -> bool:
    return "\n\n" not in text and is_selfies(re.sub(r"\s+", "", text))


def _plain(text: str, dummies: bool) -> str:
    """Return a text bare of fences, emphasis, a label before it and the punctuation behind it."""
    text = _FENCE.sub("", text.strip()).strip()
    text = _bare(_TEX_TEXT.sub(r"\1", text), dummies)
    text = _bare(_LABEL.sub("", text), dummies).rstrip(".")
    return text[1:-1] if text.startswith("(") and text.endswith(")") and not re.search(r"\s", text) else text


def _bare(text: str, dummies: bool) -> str:
    if not dummies:
        return text.strip("*" + _ENDS)
    text = text.strip(_ENDS)
    while len(text) > 4 and text.startswith("**") and text.endswith("**"):
        text = text[2:-2].strip(_ENDS)
    return text[1:] if text.startswith("\\*") else text  # a star that Markdown escapes


def _distinct(parts: list[str]) -> list[str]:
    return list(dict.fromkeys(part for part in parts if part))
