"""Generate one synthetic response: text, score, tokens and token series.

The columns are those that the trainer records; what it leaves empty stays empty here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from innovator_rl.dashboard.demo.prompts import HOSTILE, LOOP, STYLE, SyntheticPrompt
from innovator_rl.dashboard.queries.tokens import byte_letters

PIECE = re.compile(r" ?\w+|\s+|[^\w\s]")
MOST_TOKENS = 192
STYLE_WEIGHT = 0.5
CLIP_LOW, CLIP_HIGH = 0.2, 0.28


@dataclass(frozen=True)
class PolicyState:
    """The policy at one moment of training, each from 0 to 1."""

    skill: float
    style: float  # how often the answer is padded with the words one reward term counts
    loops: float  # how often it repeats itself until it is truncated
    errors: float  # how often scoring fails
    entropy: float
    gap: float = 0.004


class Vocabulary:
    """Maps pieces of text to token ids.

    Its tokenizer.json is word level, in the notation of byte-level BPE.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, at most MOST_TOKENS."""
        return [self._ids.setdefault(piece, len(self._ids)) for piece in PIECE.findall(text)[:MOST_TOKENS]]

    def tokenizer_json(self) -> dict[str, Any]:
        """Return the content of tokenizer.json."""
        letters = {byte: letter for letter, byte in byte_letters().items()}
        vocabulary = {
            "".join(letters[b] for b in piece.encode("utf-8", "replace")): i for piece, i in self._ids.items()
        }
        model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
        empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
        return {"version": "1.0", "added_tokens": [], **empty, "model": model}


def respond(prompt: SyntheticPrompt, policy: PolicyState, random: Random, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return a scored response: the columns of a `RolloutRow` without its key."""
    correct = random.random() < policy.skill * (1.15 - prompt.difficulty) + 0.1 * (prompt.difficulty < 0.15)
    correct = correct and prompt.difficulty < 0.93
    styled, looping = random.random() < policy.style, random.random() < policy.loops
    if correct:
        text, extracted, reason = prompt.right, prompt.extracted, "correct"
    else:
        text, extracted, reason = random.choices(prompt.wrong, (5, 3, 2))[0]
    if not correct and random.random() < 0.012:
        text, extracted, reason = f"{HOSTILE}\n{text}", "<b>bold</b>", "malformed_answer"
    if styled:
        text = STYLE * random.randint(1, 2) + text
    if looping:
        text, extracted, reason, correct = text[:60] + LOOP * 14, "", "no_answer", False
    token_ids = vocabulary.encode(text)
    failed = random.random() < policy.errors
    if failed:
        reason, correct, extracted = random.choice(["timeout", "crashed", "raised"]), False, ""
    answer = 0.35 if reason == "partial" else float(correct)
    style = STYLE_WEIGHT * styled * (not failed)
    penalty = -0.2 if looping else 0.0
    terms = (
        []
        if failed
        else [
            ("answer", answer, None),
            ("reasoning_words", style, None),
            *((name, value, 0.0) for name, value in _parts(prompt, correct, reason, random)),
        ]
    )
    generate_seconds = round(0.02 * len(token_ids) * random.uniform(0.8, 1.3), 3)
    random.expovariate(20)  # an unused draw: a seed keeps giving the run that tests and pictures are based on
    return {
        "prompt_id": prompt.prompt_id,
        "data_source": prompt.domain,
        "domain": prompt.domain,
        "rewarder": prompt.rewarder,
        "status": "ok",
        "finish_reason": "length" if looping else "stop",
        "truncated": looping,
        "prompt_tokens": len(PIECE.findall(prompt.prompt)),
        "response_tokens": len(token_ids),
        "reward": answer + style + penalty,
        "score_value": answer + style,
        "overlong_penalty": penalty,
        "correct": correct,
        "outcome": "error" if failed else "scored",
        "reason": reason,
        "extracted": extracted,
        "terms": [{"name": name, "value": value, "weight": weight} for name, value, weight in terms] or None,
        "generate_seconds": generate_seconds,
        "reward_seconds": 10.0 if reason == "timeout" else round(random.expovariate(30), 4),
        "error": None,
        "answer": prompt.answer,
        "info": prompt.info,
        "messages": None,
        "prompt": prompt.prompt,
        "response": text,
        "token_ids": token_ids,
    }


def _parts(prompt: SyntheticPrompt, correct: bool, reason: str, random: Random) -> list[tuple[str, float]]:
    """Return numbers that a rewarder records and that are no part of its value."""
    if prompt.domain == "code":
        return [("passed", 4.0 if correct else float(random.randint(0, 2)))]
    if prompt.domain == "caption2mol" and reason in ("correct", "partial", "wrong"):
        likeness = 1.0 if correct else random.uniform(0.05, 0.6)
        return [("morgan", round(likeness, 3)), ("maccs", round(min(1.0, likeness * 1.3), 3))]
    return []


def series(count: int, policy: PolicyState, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the token series of a response that was trained on, `count` values each."""
    entropy = generator.gamma(1.2, policy.entropy / 1.2, count).astype(np.float32)
    rollout = -generator.exponential(np.maximum(0.05, 0.6 * entropy)).astype(np.float32)
    old = rollout + generator.normal(0, policy.gap, count).astype(np.float32)
    ratio = np.exp(generator.normal(0, 0.09, count)).astype(np.float32)
    return {"old_logprobs": np.minimum(old, 0), "rollout_logprobs": rollout, "entropy": entropy, "ratio": ratio}


def clip_side(ratio: np.ndarray, advantage: float) -> np.ndarray:
    """Return where the clip range cut a token.

    +1 is above for a positive advantage, -1 below for a negative one.
    """
    above, below = (advantage > 0) & (ratio > 1 + CLIP_HIGH), (advantage < 0) & (ratio < 1 - CLIP_LOW)
    return above.astype(np.int8) - below.astype(np.int8)
