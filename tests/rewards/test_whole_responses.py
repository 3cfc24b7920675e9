"""Whole responses: where the answer stands, what takes it back, and what is said behind it."""

import pytest

from rewards.choice import Choice
from rewards.mathematics import Mathematics
from rewards.physics import Physics

RESPONSES: dict[str, list[tuple[str, str, bool]]] = {
    "an answer that is taken back": [
        ("42", "The answer is 42. Wait, no, it is 43.", False),
        ("43", "The answer is 42. Wait, no, it is 43.", True),
        ("42", "The answer is 42? No, 43.", False),
        ("43", "The answer is 42? No, 43.", True),
        ("42", "Answer: 42... no, 43", False),
        ("43", "The answer is 42. Sorry, I meant 43.", True),
        ("42", "The answer is 42. Hmm, actually it should be 43.", False),
        ("43", "Answer: 42. Correction: 43.", True),
        ("42", "The answer is 42. Sorry, that is wrong.", False),
        ("42", "The answer is 42. Wait, let me double check: 6*7 = 42. Yes, it is correct.", True),
        ("42", "\\boxed{42}\n\nWait, actually the answer is 43.", False),
        ("43", "\\boxed{42}\n\nWait, actually the answer is 43.", True),
        ("42", "\\boxed{42}\n\nWait, that's not right. It should be 43.", False),
        ("42", "\\boxed{42}\n\nWait, let me verify. 6*7=42, so it is 42. Good.", True),
        ("42", "\\boxed{42}\n\nActually, this is the number of days in 6 weeks.", True),
        ("42", "The answer is \\boxed{42}, not \\boxed{43}.", True),
        ("43", "The answer is \\boxed{42}, not \\boxed{43}.", False),
        ("42", "The answer is not \\boxed{42}.", False),
        ("42", "<answer>42</answer> Wait, it is 43.", False),
        ("43", "<answer>42</answer> Wait, it is 43.", True),
        ("42", "The answer is 42. Note: the answer is not 43.", True),
        ("43", "The answer is 42. Note: the answer is not 43.", False),
        ("42", "The answer is 42. The answer is not 42.", False),
        ("42", "The answer is not 42.", False),
    ],
    "other marks of an answer": [
        ("42", "\\Boxed{42}", True),
        ("42", "So it is boxed{42}.", True),
        ("42", "\x08oxed{42}", True),
        ("42", "<ANSWER>42</ANSWER>", True),
        ("42", "<final_answer>42</final_answer>", True),
        ("42", "<final_answer>42 or 43</final_answer>", False),
        ("42", "42</s>", True),
        ("42", '{"reasoning": "6*7", "answer": "42"}', True),
        ("42", "```json\n{'answer': 42, 'unit': ''}\n```", True),
        ("42", '{"answer": 43}', False),
        ("42", "42\n42\n42", True),
        ("42", "42\n43\n42", False),
        ("42", "∴ x = 42", True),
        ("42", "→ 42", True),
        ("42", "→ 43", False),
    ],
    "a numbered step before its working": [
        ("8", "1. 3 + 5 = 8", True),
        ("8", "2) 4 × 2 = 8", True),
        ("12", "3. 2 \\cdot 6 = 12", True),
        ("8", "1. 3 + 5 = 9", False),
        ("8", "1. 2x = 8", False),
        ("1", "1. 3 + 5 = 8", False),
        ("4", "1. 3 + 5 = 8\n2. 8 / 2 = 4", True),
        ("8", "1. 3 + 5 = 8\n2. 8 / 2 = 4", False),
        ("1.3", "1.3 + 5 = 6.3", False),
    ],
    "a value first, its reason below": [
        ("42", "42\n\nBecause 6 times 7.", True),
        ("7", "42\n\nBecause 6 times 7.", False),
        ("42", "42\n\nSince 6 x 7 is 42.", True),
        ("42", "41\n\nNote: this is wrong, so the answer is 42.", True),
        ("41", "41\n\nNote: this is wrong, so the answer is 42.", False),
        ("42", "42\n\nExplanation: 6*7. So it is 43.", False),
    ],
    "words behind an answer": [
        ("42", "The answer is 42 (see above).", True),
        ("42", "The answer is 42 (from part a).", True),
        ("42", "The answer is 42 (which is wrong).", False),
        ("42", "The answer is 42 (not 43).", True),
        ("43", "The answer is 42 (not 43).", False),
        ("42", "The answer is 42 — a nice number.", True),
        ("42", "The final answer is 42, I hope it is correct.", True),
        ("42", "Answer: 42 ✅", True),
        ("42", "Answer: 43 ✅", False),
        ("42", "The answer is 42 — wrong.", False),
        ("42", "The answer is 42 — not 43.", True),
    ],
    "Chinese": [
        ("42", "答案是42个苹果。", True),
        ("42", "答：一共有42名学生。", True),
        ("42", "答：一共有43名学生。", False),
        ("42", "答案：42（个）", True),
        ("42", "综上所述，x=42。", True),
        ("42", "所以一共需要42天。", True),
        ("42", "答案是42，不是43。", True),
        ("43", "答案是42，不是43。", False),
        ("42", "42个以上", False),
        ("42", "42个左右", False),
        ("42", "42个百分点", False),
        ("42", "42倍于原来", False),
        ("42个苹果", "42个梨子", False),
        ("42个苹果", "42个苹果", True),
        ("42个苹果", "42", True),
    ],
    "other languages": [
        ("42", "Die Antwort ist 42.", True),
        ("42", "La réponse est 42.", True),
        ("42", "La respuesta es 42.", True),
        ("42", "La respuesta no es 42.", False),
        ("42", "Die Antwort ist nicht 42.", False),
        ("42", "Ответ: 42", True),
        ("42", "Ответ: 43", False),
        ("42", "答えは42です。", True),
        ("42", "정답은 42입니다.", True),
        ("42", "정답은 43입니다.", False),
    ],
}


@pytest.mark.parametrize("kind", sorted(RESPONSES))
def test_response(kind: str) -> None:
    rows = RESPONSES[kind]
    assert not [row for row in rows if Mathematics()(row[1], row[0]).correct != row[2]]
    assert not [row for row in rows if Physics()(row[1], row[0], {}).correct != row[2]]


OPTIONS = "Which is heaviest?\nA. gold\nB. silver\nC. copper\nD. iron"
LETTERS = [
    ("B", "The answer is B, C is wrong.", True),
    ("C", "The answer is B, C is wrong.", False),
    ("B", "The answer is B, A and C are wrong.", True),
    ("B", "The answer is C; B is wrong.", False),
    ("B", "If silver is heavier, then B; otherwise A.", False),
    ("A", "If silver is heavier, then B; otherwise A.", False),
    ("B", "It could be A or B, but I'd go with B.", True),
    ("A", "It could be A or B, but I'd go with B.", False),
    ("B", "A, but I could also pick B", False),
    ("A", "A, but I could also pick B", False),
    ("B", "A is tempting, but I would choose B.", True),
    ("B", "A, but maybe I would choose B.", False),
    ("AC", "A and C, not B or D", True),
    ("AC", "A and B, not C or D", False),
    ("AB", "A and B, not C or D", True),
    ("ABCD", "All of the above", True),
    ("AC", "All of the above", False),
    ("AC", "A + C", True),
    ("AC", "A + B", False),
    ("B", "A, B, C are wrong", False),
    ("D", "A, B, C are wrong", False),
    ("D", "A, B and C are wrong, so D.", True),
    ("B", "The answer is A... Actually, it's B.", True),
    ("A", "The answer is A... Actually, it's B.", False),
    ("B", "\\boxed{B}\n\nWait, actually the answer is C.", False),
    ("C", "\\boxed{B}\n\nWait, actually the answer is C.", True),
    ("B", "La respuesta correcta es B.", True),
    ("A", "Die richtige Antwort ist A, nicht B.", True),
    ("B", "正解はBです。", True),
]
TRUTH_VALUES = [
    ("True", "True\n\nExplanation: false statements would be refuted.", True),
    ("False", "True\n\nExplanation: false statements would be refuted.", False),
    ("True", "False\n\nReason: it is true that gold is heavy.", False),
    ("True", "True\n\nHowever, the statement is false.", False),
    ("True", "True\nFalse", False),
    ("False", "True\nFalse", False),
    ("True", "True\n\nTherefore the statement is false.", False),
    ("True", "✓", True),
    ("False", "✗", True),
    ("True", "✗", False),
    ("False", "Nope.", True),
    ("True", "Yep.", True),
    ("True", "Yeah", True),
]


def test_letters() -> None:
    assert not [row for row in LETTERS if Choice()(row[1], row[0], OPTIONS).correct != row[2]]


def test_truth_values() -> None:
    assert not [row for row in TRUTH_VALUES if Choice()(row[1], row[0], "Is it true?").correct != row[2]]
