"""Mathematics: where the answer stands, what counts as hedging, the published test pairs of Math-Verify, and every gold
answer of GSM8K and SciBench against itself and against a changed one.
"""

import gzip
import json
from fractions import Fraction
from pathlib import Path

import pytest
from real_data import real

from rewards.extraction import candidates, find_answer
from rewards.mathematics import Mathematics, number
from rewards.physics import Physics

PAIRS = [json.loads(line) for line in (Path(__file__).parent / "math_verify_pairs.jsonl").read_text().splitlines()]


def agrees(gold: str, said: str) -> bool:
    found = find_answer(gold)
    return Mathematics()(said, found.text if found else gold).correct


def test_math_verify_pairs() -> None:
    assert len(PAIRS) >= 150
    assert not [
        pair for pair in PAIRS if "refused" not in pair and agrees(pair["gold"], pair["said"]) != pair["equivalent"]
    ]
    assert not [
        pair for pair in PAIRS if "refused" in pair and agrees(pair["gold"], pair["said"]) == pair["equivalent"]
    ]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Round your answer to one decimal place.", True),
        ("Give the answer to the nearest tenth.", True),
        ("Express it in decimal form.", True),
        ("Use a calculator.", True),
        ("Find the length correct to 3 decimal places.", True),
        ("Solve numerically for x.", True),
        ("保留两位小数", True),
        ("In how many ways can 8 people sit around a round table?", False),
        ("Are they numerically equal?", False),
        ("Find the nearest point.", False),
        ("Do not use a calculator.", False),
        ("Don't round your answer.", False),
        ("Answer without rounding.", False),
        ("Leave your answer in exact form.", False),
        ("Write it as an exact value, not a decimal.", False),
    ],
)
def test_a_decimal_for_an_irrational_number_must_be_asked_for(question: str, asked: bool) -> None:
    assert Mathematics()(r"\boxed{3.464}", r"2\sqrt{3}", f"How long is the side? {question}").correct is asked


@pytest.mark.parametrize("right", [True, False])
def test_rounding_brackets_units_percent_and_hedges(right: bool) -> None:
    lines = (Path(__file__).parent / "math_rows.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["right"] is right]
    assert len(rows) > 120
    assert not [
        row for row in rows if Mathematics()(row["response"], row["answer"], row.get("prompt", "")).correct != right
    ]


@pytest.mark.parametrize(
    ("response", "answer", "right"),
    [
        (r"First \boxed{3}, and after the second step we have" + "\n\n" + r"\boxed{6}", "6", True),
        (r"\boxed{2} or \boxed{3}", "3", False),
        (r"\boxed{3}, \boxed{5}", "5, 3", True),
        (r"\boxed{3}, \boxed{5}", "5", False),
        (r"\boxed{255}. Final Answer: The final answer is $10,455$. I hope so.", "10455", True),
        ("The answer is not 7", "7", False),
        ("It is between 5 and 7", "7", False),
        ("There are at least 7", "7", False),
        ("So the total is 7.<|im_end|>", "7", True),
        ("We get\n\\[\nx = 7\n\\]", "7", True),
        ("<think>\\boxed{7}</think>I do not know.", "7", False),
        ("maybe 7", "7", False),
        ("minus 7", "7", False),
        ("minus 7", "-7", True),
        ("The answer is negative 7.", "7", False),
        ("The answer is negative 7.", "-7", True),
        ("The sum is twice 7", "7", False),
        ("10 minus 3 is 7", "7", True),
        ("7 or so, perhaps 8", "7", False),
    ],
)
def test_where_the_answer_stands(response: str, answer: str, right: bool) -> None:
    assert Mathematics()(response, answer).correct is right


def test_readings_of_a_sentence() -> None:
    found = find_answer("Therefore the speed is 5 m/s.")
    assert found is not None
    assert "5 m/s" in candidates(found)


def changed(answer: str) -> str:
    value = number(answer) or Fraction(1)
    return str(float(value * 2 + 1)) if "." in answer else str(int(value) * 2 + 1)


def test_gsm8k_golds() -> None:
    with gzip.open(real("gsm8k/train.jsonl.gz"), "rt") as lines:
        golds = [json.loads(line)["answer"] for line in lines][::10]
    reward = Mathematics()
    assert len(golds) > 700
    for gold in golds:
        final = gold.rsplit("####", 1)[1].strip()
        assert reward(f"\\boxed{{{final}}}", gold).correct
        assert not reward(f"\\boxed{{{changed(final.replace(',', ''))}}}", gold).correct


def test_scibench_golds() -> None:
    files = sorted(real("scibench").glob("*.json"))
    reward = Physics()
    rows = [row for file in files for row in json.loads(file.read_text())][::3]
    for row in rows:
        gold = row["answer_number"].strip()
        assert reward(gold, gold, {}).correct
        assert not reward(
            str(float(gold.replace(",", "").replace("+", "").replace("−", "-")) * 1.07 + 0.01), gold, {}
        ).correct
