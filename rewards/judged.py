"""Score with rules first, and ask a language model where rules cannot decide.

    judged(url='http://127.0.0.1:8000/v1',model='compass-verifier')
    judged(rules='math',url='https://host/v1',model='m',key_env='JUDGE_KEY',cache='judge.sqlite',calls_per_response=0.5)

The judge is asked only where the rules say wrong or unreadable, and the reference is prose, has several parts, or cannot
be read. A number or a formula that the rules read never goes to it. It sees the question, the reference and the
extracted answer. `terms["judge"]` is 1 or 0 where it was asked, of several parts the share that it accepted. A problem
in several parts is worth the share of parts that are right.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import Any

from innovator_rl.scoring import Score, ScoreRequest, right, wrong
from innovator_rl.scoring.invoke import RewardCallable
from innovator_rl.scoring.judge import Judge, JudgeFailed
from innovator_rl.scoring.registry import load
from rewards.answer_grading import MAX_ANSWER_CHARS, several, usable
from rewards.degenerate_answers import degenerate_reason
from rewards.equivalence.normalize import tidy
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.equivalence.quantities import quantity
from rewards.extraction import find_answer
from rewards.physics import config_for
from rewards.physics_parts import met, statements_of

UNDECIDED = ("wrong", "malformed_answer", "bad_reference")
_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{|\\[A-Za-z]+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_HAN = re.compile("[\u4e00-\u9fff]{2,}")


def is_prose(text: str) -> bool:
    """Return whether a reference is in words: two of three letters or more, and not a number with its unit."""
    plain = _COMMAND.sub(" ", text)
    return (len(_WORD.findall(plain)) >= 2 or bool(_HAN.search(plain))) and quantity(tidy(text)) is None


class Judged:
    """Rules with a language model at the end."""

    version = "1"

    def __init__(
        self,
        url: str,
        model: str,
        rules: str = "physics",
        key_env: str = "",
        cache: str = "",
        calls_per_response: float = 2.0,
        timeout: float = 60.0,
        in_flight: int = 64,
    ) -> None:
        """Configure the rules and the judge; nothing is sent yet.

        Args:
            url: The endpoint, with its version.
            model: The name under which it serves the model.
            rules: The reward function that decides where it can.
            key_env: The environment variable with the endpoint's key; empty sends none.
            cache: An SQLite file for replies, shared by runs; empty keeps them in memory.
            calls_per_response: Requests to the judge for each response that is scored, at most, on average.
            timeout: Seconds for one request.
            in_flight: Requests at the same time.
        """
        self.judge = Judge(url, model, key_env, cache, calls_per_response, timeout, in_flight=in_flight)
        self.rules = RewardCallable(load(rules))
        self.in_flight = in_flight
        self.call_seconds = self.judge.call_seconds

    async def ready(self) -> str:
        """Return why the judge cannot be asked now, or an empty text."""
        return await self.judge.ready()

    async def __call__(self, response: str, answer: str, info: dict[str, Any], prompt: str, data_source: str) -> Score:
        """Score one response."""
        self.judge.earn()
        score = self.rules(ScoreRequest("", response, answer, prompt, info, data_source))[0]
        if score.correct or score.outcome == "error" or score.reason not in UNDECIDED:
            return score
        golds = [str(part) for part in info.get("final_answers") or []] or [answer]
        if not all(0 < len(gold.strip()) <= MAX_ANSWER_CHARS for gold in golds):
            return score
        config = config_for(prompt, info)
        try:
            if len(golds) > 1:
                return await self._parts(response, golds, config, prompt, score)
            return await self._single(response, golds[0], config, prompt, score)
        except JudgeFailed as failed:
            return failed.score()

    async def _single(self, response: str, gold: str, config: EquivalenceConfig, prompt: str, score: Score) -> Score:
        readable = usable(gold, config)
        if readable and not is_prose(gold) and not several(gold):
            return score
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if shortcut := degenerate_reason(found.text, gold, prompt):
            return wrong(shortcut, found.text[:200])
        if _words(found.text) == _words(gold):
            return right(found.text[:200])
        if await self.judge.agree(prompt, gold, found.text):
            return right(found.text[:200], judge=1.0)
        if not score.scored:
            return wrong(extracted=found.text[:200], judge=0.0)
        return dataclasses.replace(score, terms={**score.terms, "judge": 0.0})

    async def _parts(
        self, response: str, golds: list[str], config: EquivalenceConfig, prompt: str, score: Score
    ) -> Score:
        """Score a problem in several parts: each part by rules, then by the judge."""
        stated = statements_of(response, len(golds))
        numbers = sorted({statement.part for statement in stated})
        by_part = [[statement for statement in stated if statement.part == number] for number in numbers]
        if len(by_part) == 1 and len(stated) == len(golds):
            by_part = [[statement] for statement in stated]
        if not by_part or len(by_part) > len(golds):
            return score if score.scored else wrong("malformed_answer")
        pairs = list(zip(golds, by_part, strict=False))
        ruled = [bool(met([gold], part, config, prompt)) for gold, part in pairs]
        texts = ["; ".join(statement.text for statement in part) for _, part in pairs]
        asked = [i for i, (gold, _) in enumerate(pairs) if not ruled[i] and not _is_number(gold)]
        decisions = await asyncio.gather(*(self.judge.agree(prompt, golds[i], texts[i]) for i in asked))
        share = (sum(ruled) + sum(decisions)) / len(golds)
        reason = "correct" if share == 1 else "partial" if share else "wrong"
        terms = {"share": share} | ({"judge": sum(decisions) / len(golds)} if asked else {})
        return Score(share, share == 1, reason, "; ".join(texts)[:200], terms)

    def __repr__(self) -> str:
        return f"Judged({self.rules.rewarder!r}, {self.judge.config.model!r})"


def _words(text: str) -> list[str]:
    return _COMMAND.sub(" ", text).strip(" {}$.").casefold().split()


def _is_number(gold: str) -> bool:
    return quantity(tidy(gold)) is not None
