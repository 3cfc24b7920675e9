"""One made-up response to a problem: text, judgement, tokens and what an update saw of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from innovator_rl.dashboard.demo.problems import HOSTILE, LOOP, STYLE, Problem
from innovator_rl.dashboard.queries.tokens import byte_letters

PIECE = re.compile(r" ?\w+|\s+|[^\w\s]")
MOST_TOKENS = 192
STYLE_WEIGHT = 0.5
CLIP_LOW, CLIP_HIGH = 0.2, 0.28


@dataclass(frozen=True)
class Mood:
    """The policy at one moment of training, each from 0 to 1."""

    skill: float
    style: float  # how often the answer is padded with the words one reward term counts
    loops: float  # how often it repeats itself until it is cut
    errors: float  # how often the judge fails
    entropy: float
    gap: float = 0.004


class Vocabulary:
    """Pieces of text as token ids, and the tokenizer.json that says so (word level, pieces written as byte-level BPE writes them)."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, at most MOST_TOKENS."""
        return [self._ids.setdefault(piece, len(self._ids)) for piece in PIECE.findall(text)[:MOST_TOKENS]]

    def tokenizer_json(self) -> dict[str, Any]:
        """The file's content."""
        letters = {byte: letter for letter, byte in byte_letters().items()}
        vocabulary = {
            "".join(letters[b] for b in piece.encode("utf-8", "replace")): i for piece, i in self._ids.items()
        }
        model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
        empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
        return {"version": "1.0", "added_tokens": [], **empty, "model": model}


def respond(problem: Problem, mood: Mood, random: Random, vocabulary: Vocabulary) -> dict[str, Any]:
    """A judged response: the columns of a `RolloutRow` but its key, with `token_ids`."""
    correct = random.random() < mood.skill * (1.15 - problem.difficulty) + 0.1 * (problem.difficulty < 0.15)
    correct = correct and problem.difficulty < 0.93
    styled, looping = random.random() < mood.style, random.random() < mood.loops
    if correct:
        text, extracted, reason = problem.right, problem.extracted, "correct"
    else:
        text, extracted, reason = random.choices(problem.wrong, (5, 3, 2))[0]
    if not correct and random.random() < 0.012:
        text, extracted, reason = f"{HOSTILE}\n{text}", "<b>bold</b>", "malformed_answer"
    if styled:
        text = STYLE * random.randint(1, 2) + text
    if looping:
        text, extracted, reason, correct = text[:60] + LOOP * 14, "", "no_answer", False
    token_ids = vocabulary.encode(text)
    failed = random.random() < mood.errors
    if failed:
        reason, correct, extracted = random.choice(["timeout", "crashed", "raised"]), False, ""
    answer = 0.35 if reason == "partial" else float(correct)
    style = STYLE_WEIGHT * styled * (not failed)
    penalty = -0.2 if looping else 0.0
    terms = (
        []
        if failed
        else [
            ("answer", answer, 1.0),
            ("reasoning_words", float(styled), STYLE_WEIGHT),
            *_parts(problem, correct, reason, random),
        ]
    )
    return {
        "prompt_id": problem.prompt_id,
        "data_source": problem.domain,
        "domain": problem.domain,
        "rewarder": problem.rewarder,
        "status": "ok",
        "finish_reason": "length" if looping else "stop",
        "truncated": looping,
        "prompt_tokens": len(PIECE.findall(problem.prompt)),
        "response_tokens": len(token_ids),
        "reward": answer + style + penalty,
        "score_value": answer + style,
        "overlong_penalty": penalty,
        "correct": correct,
        "outcome": "error" if failed else "scored",
        "reason": reason,
        "extracted": extracted,
        "terms": [{"name": name, "value": value, "weight": weight} for name, value, weight in terms] or None,
        "generate_seconds": round(0.02 * len(token_ids) * random.uniform(0.8, 1.3), 3),
        "queued_seconds": round(random.expovariate(20), 3),
        "reward_seconds": 10.0 if reason == "timeout" else round(random.expovariate(30), 4),
        "error": "the rewarder ran past its deadline and its process was killed"
        if reason == "timeout" and failed
        else None,
        "answer": problem.answer,
        "info": problem.info,
        "messages": None,
        "prompt": problem.prompt,
        "response": text,
        "token_ids": token_ids,
    }


def _parts(problem: Problem, correct: bool, reason: str, random: Random) -> list[tuple[str, float, float | None]]:
    if problem.domain == "code":
        return [("passed", 4.0 if correct else float(random.randint(0, 2)), None)]
    if problem.domain == "caption2mol" and reason in ("correct", "partial", "wrong"):
        likeness = 1.0 if correct else random.uniform(0.05, 0.6)
        return [("morgan", round(likeness, 3), None), ("maccs", round(min(1.0, likeness * 1.3), 3), None)]
    return []


def series(count: int, mood: Mood, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """The token series of a response that was trained on: `count` values each."""
    entropy = generator.gamma(1.2, mood.entropy / 1.2, count).astype(np.float32)
    rollout = -generator.exponential(np.maximum(0.05, 0.6 * entropy)).astype(np.float32)
    old = rollout + generator.normal(0, mood.gap, count).astype(np.float32)
    ratio = np.exp(generator.normal(0, 0.09, count)).astype(np.float32)
    return {"old_logprobs": np.minimum(old, 0), "rollout_logprobs": rollout, "entropy": entropy, "ratio": ratio}


def clip_side(ratio: np.ndarray, advantage: float) -> np.ndarray:
    """Where the clip range cut a token: +1 above for a positive advantage, -1 below for a negative one."""
    above, below = (advantage > 0) & (ratio > 1 + CLIP_HIGH), (advantage < 0) & (ratio < 1 - CLIP_LOW)
    return above.astype(np.int8) - below.astype(np.int8)
