"""Bring Unicode and Chinese spellings of an answer into the ASCII that the readers know.

Full-width signs, mathematical alphanumerics, vulgar fractions, invisible characters, and Chinese words for units,
counted things, numbers and "or". Sub- and superscripts are left to `tokens`, which keeps their position. Each table is
data: nothing here removes a word that it does not list.
"""

from __future__ import annotations

import re
import unicodedata

_RANGES = ((0xFF01, 0xFF5F), (0x1D400, 0x1D800), (0x2002, 0x200B), (0x3000, 0x3001))
_INVISIBLE = (0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0x2061, 0x2062, 0x2063, 0xFEFF, 0x00AD, 0xFE0F)
_SIGNS = {"、": ",", "。": ".", "【": "[", "】": "]", "「": "", "」": "", "〈": r"\langle ", "〉": r"\rangle "}
_SIGNS |= {"∅": r"\emptyset ", "∪": r"\cup ", "∩": r"\cap ", "－": "-", "﹣": "-", "﹢": "+", "\u00a0": " "}
_SIGNS |= {"㎝": "cm", "㎜": "mm", "㎞": "km", "㎏": "kg", "㎡": "m^2", "㎥": "m^3", "㏑": "ln", "㏒": "log"}
_SIGNS |= {"\N{LATIN SUBSCRIPT SMALL LETTER A}": "_a", "\N{LATIN SUBSCRIPT SMALL LETTER X}": "_x"}
_FRACTIONS = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↉"


def _table() -> dict[int, str]:
    table = {ord(sign): plain for sign, plain in _SIGNS.items()}
    for start, end in _RANGES:
        table |= {code: unicodedata.normalize("NFKC", chr(code)) for code in range(start, end) if code not in table}
    table |= dict.fromkeys(_INVISIBLE, "")
    for fraction in _FRACTIONS:
        above, below = unicodedata.normalize("NFKC", fraction).split("\N{FRACTION SLASH}")
        table[ord(fraction)] = rf"\frac{{{above}}}{{{below}}}"
    return table


_TABLE = _table()
CHINESE = re.compile(r"[\u4e00-\u9fff]")

UNITS = {
    **{"米": "m", "千米": "km", "公里": "km", "厘米": "cm", "公分": "cm", "毫米": "mm", "分米": "dm", "微米": "um"},
    **{"纳米": "nm", "皮米": "pm", "埃": "angstrom", "光年": "ly", "海里": "nmi", "英里": "mi", "英尺": "ft"},
    **{"克": "g", "千克": "kg", "公斤": "kg", "毫克": "mg", "微克": "ug", "吨": "tonne", "英寸": "in", "磅": "lb"},
    **{"秒": "s", "毫秒": "ms", "微秒": "us", "纳秒": "ns", "分钟": "min", "小时": "h", "天": "day", "周": "week"},
    **{
        "年": "yr",
        "月": "month",
        "个月": "month",
        "个小时": "h",
        "牛": "N",
        "牛顿": "N",
        "千牛": "kN",
        "焦": "J",
        "焦耳": "J",
    },
    **{"千焦": "kJ", "兆焦": "MJ", "瓦": "W", "瓦特": "W", "千瓦": "kW", "兆瓦": "MW", "千瓦时": "kWh", "伏": "V"},
    **{"伏特": "V", "毫伏": "mV", "千伏": "kV", "安": "A", "安培": "A", "毫安": "mA", "微安": "uA", "欧": "ohm"},
    **{"欧姆": "ohm", "千欧": "kohm", "库": "C", "库仑": "C", "法拉": "F", "微法": "uF", "亨利": "H", "特斯拉": "T"},
    **{"高斯": "G", "韦伯": "Wb", "赫": "Hz", "赫兹": "Hz", "千赫": "kHz", "兆赫": "MHz", "帕": "Pa", "帕斯卡": "Pa"},
    **{"千帕": "kPa", "兆帕": "MPa", "大气压": "atm", "摩尔": "mol", "毫摩尔": "mmol", "升": "L", "毫升": "mL"},
    **{
        "开": "K",
        "分贝": "dB",
        "开尔文": "K",
        "摄氏度": "degC",
        "度": "deg",
        "弧度": "rad",
        "电子伏特": "eV",
        "电子伏": "eV",
    },
    **{"卡": "cal", "千卡": "kcal", "平方米": "m^2", "平方厘米": "cm^2", "平方千米": "km^2", "平方公里": "km^2"},
    **{
        "立方米": "m^3",
        "立方厘米": "cm^3",
        "立方分米": "dm^3",
        "平方毫米": "mm^2",
        "公顷": "hectare",
        "贝克勒尔": "Bq",
    },
}
_ANSWERS = {
    **{
        "奇函数": "odd function",
        "偶函数": "even function",
        "增函数": "increasing function",
        "减函数": "decreasing function",
    },
    **{"收敛": "converges", "收敛的": "convergent", "发散": "diverges", "发散的": "divergent", "空集": r"\emptyset"},
    **{"质数": "prime number", "素数": "prime number", "合数": "composite number", "周期函数": "periodic function"},
}
_ANSWERS |= {
    **dict.fromkeys(("无解", "方程无解", "原方程无解", "不等式无解", "方程组无解"), "no solution"),
    **dict.fromkeys(("无实数解", "无实数根", "没有实数解", "方程无实数解"), "no real solution"),
    **dict.fromkeys(("不存在", "极限不存在"), "does not exist"),
    **dict.fromkeys(("无穷大", "正无穷", "正无穷大"), r"\infty"),
    **dict.fromkeys(("负无穷", "负无穷大"), r"-\infty"),
}
_NUMBER_SETS = {"整数": "Z", "实数": "R", "有理数": "Q", "自然数": "N", "复数": "C"}
_ANSWERS |= {
    f"{all_}{name}{tail}": rf"\mathbb{{{letter}}}"
    for name, letter in _NUMBER_SETS.items()
    for all_, tail in (("", "集"), ("全体", ""), ("所有", ""), ("一切", ""), ("全体", "集"))
}
_WHOLE = re.compile(r"(?:\\(?:text|mathrm|mbox)\s*\{)?\s*([\u4e00-\u9fff]+)\s*\}?[.\s]*")
_MEASURE_WORDS = "个只条件本人名次种张台辆棵颗块岁页元枚位支双头匹朵根间座套份组项步场班袋箱瓶杯盒倍对瓣粒道题票分"
_SCALES = {"十万": 10**5, "百万": 10**6, "千万": 10**7, "万": 10**4, "亿": 10**8, "百": 100, "千": 1000}
_UNIT_WORDS = "|".join(sorted(UNITS, key=len, reverse=True))
_BESIDE = r"(?:(?<=[\d}\s/每·])|^)"
_UNIT = re.compile(rf"{_BESIDE}(?:{_UNIT_WORDS})(?![\u4e00-\u9fff])|{_BESIDE}(?:{_UNIT_WORDS})(?=每)")
_SCALED = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_SCALES)})(?![\u4e00-\u9fff]*[克米瓦焦帕欧赫伏牛])")
_COUNTED = re.compile(rf"(?<=[\d}}$])\s*(?:{'|'.join(_MEASURE_WORDS)})(?=\s*(?:$|[,.;)}}$]|[和与或]))")
_COUNTED_ASIDE = re.compile(rf"(?<=[\d}}$])\s*\(\s*(?:{'|'.join(_MEASURE_WORDS)})\s*\)")
_COUNTED_NOUN = re.compile(
    rf"([-+]?\d[\d,.]*\d|\d)\s*(?!倍)(?:{'|'.join(_MEASURE_WORDS)})((?![^.]*(?:以[上下内外]|左右|[多少余半倍不非没错十百千万亿点月]))[\u4e00-\u9fff]{{1,8}})\s*\.?"
)
_ENDS_IN_UNIT = re.compile(rf"(?:{_UNIT_WORDS})$")
_NOT_ANOTHER = re.compile(r"\s*,?\s*(?:而)?(?:不是|并非)\s*\$?[-+]?\d[\d.,/]*\$?\W*$")
_JOINED = ((re.compile(r"\s*(?:或者|或)\s*"), " or "), (re.compile(r"\s*(?:以及|和|与|及|且)\s*"), " and "))
_LEAD = re.compile(r"^\s*(?:大约|约|等于|为|是|(?:共|一共|总共)?(?:有|需要?|是|为)?)\s*(?=[\d$\\-])")
_NUMERAL = r"[零〇一二两三四五六七八九十百千万亿]{1,20}"
_IN_NUMERALS = re.compile(rf"(负)?(?:(百分之)|({_NUMERAL})分之)?({_NUMERAL})(?:[{_MEASURE_WORDS}])?[.\s]*")
_NUMERALS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_SECTION = re.compile(
    r"(?:([一二两三四五六七八九])千)?(零)?(?:([一二两三四五六七八九])百)?(零)?(?:([一二两三四五六七八九])?十)?(零)?([一二两三四五六七八九])?"
)


def plain_text(text: str) -> str:
    """Return a text with full-width signs, styled letters and vulgar fractions in ASCII."""
    return text if text.isascii() else text.translate(_TABLE)


def plain_chinese(text: str) -> str:
    """Return an answer with listed Chinese units, number words, counters and joints in ASCII.

    Words that are on no list stay, so an answer in Chinese prose equals only its own text.
    """
    if not CHINESE.search(text):
        return text
    if (whole := _WHOLE.fullmatch(text)) and whole[1] in _ANSWERS:
        return _ANSWERS[whole[1]]
    if number := _in_digits(text.strip()):
        return number
    text = re.sub(r"^\s*负\s*(?=[\d$\\])", "-", _LEAD.sub("", _NOT_ANOTHER.sub("", text)))
    text = _COUNTED_ASIDE.sub("", text)
    text = re.sub(r"(?<=/)\s*时(?![\u4e00-\u9fff])", " h", text)
    text = re.sub(r"\\(?:text|mathrm|mbox)\s*\{\s*([\u4e00-\u9fff/每·]+)\s*\}", r" \1", text)
    text = re.sub(r"百分之\s*(\d+(?:\.\d+)?)", r"\1%", text)
    text = _SCALED.sub(lambda match: f"{match[1]}*10^{{{len(str(_SCALES[match[2]])) - 1}}}", text)
    while (shorter := _UNIT.sub(lambda match: " " + UNITS[match.group()], text)) != text:
        text = shorter.replace("每", "/")
    text = _COUNTED.sub("", text)
    if (counted := _COUNTED_NOUN.fullmatch(text)) and not _ENDS_IN_UNIT.search(counted[2]):
        return rf"{counted[1]}\text{{{counted[2]}}}"
    rest = CHINESE.sub("", _JOINED[1][0].sub("", _JOINED[0][0].sub("", text)))
    bare = not CHINESE.search(_JOINED[1][0].sub("", _JOINED[0][0].sub("", text)))
    if bare and rest.strip():
        for pattern, word in _JOINED:
            text = pattern.sub(word, text)
    return text.strip()


def chinese_number(text: str) -> int | None:
    """Return the number of Chinese numerals (`三百零五`), None for what is none or is short for another (`一千二`)."""
    for word, scale in (("亿", 10**8), ("万", 10**4)):
        if word in text:
            above, _, below = text.partition(word)
            high, low = chinese_number(above), chinese_number(below.removeprefix("零")) if below else 0
            if high is None or low is None or (below and not below.startswith("零") and low < scale // 10):
                return None
            return high * scale + low
    if text in ("零", "〇"):
        return 0
    section = _SECTION.fullmatch(text)
    if not text or section is None:
        return None
    thousands, hundreds, tens, ones = (section[group] for group in (1, 3, 5, 7))
    has_ten = "十" in text
    gap = bool(ones) and not has_ten and bool(thousands or hundreds)
    if gap != bool(section[4] or section[6]) and (gap or section[6]):
        return None
    places = (thousands, 1_000), (hundreds, 100), (tens or ("一" if has_ten else None), 10), (ones, 1)
    return sum(_NUMERALS[digit] * scale for digit, scale in places if digit)


def _in_digits(text: str) -> str:
    """Return an answer that is a Chinese number, fraction or percentage, with a counter or without, in digits."""
    match = _IN_NUMERALS.fullmatch(text)
    if match is None:
        return ""
    value, below = chinese_number(match[4]), chinese_number(match[3]) if match[3] else 1
    if value is None or not below:
        return ""
    number = rf"\frac{{{value}}}{{{below}}}" if match[3] else f"{value}\\%" if match[2] else str(value)
    return f"-{number}" if match[1] else number
