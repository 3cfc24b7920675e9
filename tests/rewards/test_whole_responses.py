"""Whole responses: where the answer stands, what takes it back, and what is said behind it."""

import pytest

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
