"""A build leaves out problems whose reference cannot be met, or is met by a changed answer."""

from collections import Counter

from innovator_rl.data.problem import Problem
from innovator_rl.data.references import NOT_ITSELF, TOO_LENIENT, UNREADABLE, usable


def problem(answer: str, **info: object) -> Problem:
    return Problem(answer, f"What is it, if not {len(answer)}?", answer, info=dict(info))


def test_references_that_can_be_used_stay() -> None:
    rejected: Counter[str] = Counter()
    physics = [
        problem(r"v = \sqrt{\frac{2gR}{3}}"),
        problem(r"4.2\ \mathrm{J}"),
        problem("a", final_answers=["2 m", "x_1 = 5"]),
    ]
    assert usable(physics, "physics", rejected) == physics
    mathematics = [problem("so 3 apples\n#### 3"), problem(r"\{1, 2\}"), problem("x = 2 y")]
    assert usable(mathematics, "math", rejected) == mathematics
    assert not rejected


def test_references_that_cannot_be_met_are_counted() -> None:
    rejected: Counter[str] = Counter()
    broken = [problem(r"\frac{a}{\sqrt{b}"), problem(r"x = \frac{1}{0}")]
    assert usable([*broken, problem("7")], "physics", rejected) == [problem("7")]
    assert rejected == {UNREADABLE: 2}


class Careless:
    """Accepts whatever holds a digit, so that a changed number is met as well."""

    def reference_responses(self, answer: str, info: dict[str, object]) -> tuple[str, str]:
        return answer, answer.replace("7", "8")

    def __call__(self, response: str) -> bool:
        return any(char.isdigit() for char in response)


def test_a_lenient_comparison_is_noticed() -> None:
    from innovator_rl.data.references import fault

    assert fault(Careless(), problem("7")) == TOO_LENIENT
    assert fault(Careless(), problem("seven")) == NOT_ITSELF
