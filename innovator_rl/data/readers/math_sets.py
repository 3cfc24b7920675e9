"""Read the published mathematics sets for reinforcement learning: DAPO-Math-17k and DeepScaleR.

DAPO-Math-17k (BytedTsinghua-SIA/DAPO-Math-17k, Apache-2.0) is in verl's form: `prompt` is one message that wraps the
problem in an instruction to end with "Answer:", and `reward_model.ground_truth` is the answer. The wrapping is taken off
so that the recipe's own prompt asks for one form of answer. The published file repeats each problem about a hundred
times; copies are dropped as they are read. DeepScaleR (agentica-org/DeepScaleR-Preview-Dataset, MIT) has `problem`,
`answer` and `solution`.
"""

import hashlib
import re
from collections.abc import Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Record, Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import BadRow, Rejections

HEAD = re.compile(r"\ASolve the following math problem step by step\.[^\n]*\n+")
TAIL = re.compile(r"\n+Remember to put your answer on its own line after \"?Answer:\"?\.?\s*\Z")


def read_dapo(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield each problem of DAPO-Math once, without the instruction around it."""
    seen: set[bytes] = set()
    for record in records(source, rejected, ".parquet", ".jsonl", ".json"):
        with rejected.row(record.place):
            question, answer = _dapo_question(record), _dapo_answer(record)
            # 16 bytes per problem instead of its text: the published file has 1.8 million rows.
            key = hashlib.blake2b(f"{question}\0{answer}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if key in seen:
                rejected["duplicate question"] += 1  # not listed row by row: there are a hundred per problem
                continue
            seen.add(key)
            if not question or not answer:
                rejected.add("empty question or answer", record.place)
                continue
            extra = record.get("extra_info", {})
            name = str(extra.get("index") or record.number) if isinstance(extra, dict) else str(record.number)
            yield Problem(f"dapo/{name}", question, answer, place=record.place)


def read_deepscaler(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield each problem of DeepScaleR with its answer."""
    for record in records(source, rejected, ".json", ".jsonl", ".parquet"):
        with rejected.row(record.place):
            question, answer = record.text("problem"), record.text("answer")
            if not question or not answer:
                rejected.add("empty question or answer", record.place)
                continue
            yield Problem(f"deepscaler/{record.number}", question, answer, place=record.place)


def _dapo_question(record: Record) -> str:
    prompt = record.need("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        prompt = prompt[-1].get("content")
    if not isinstance(prompt, str):
        raise BadRow(f"{record.place}: 'prompt' must be a text or a list of {{role, content}}")
    return TAIL.sub("", HEAD.sub("", prompt.strip())).strip()


def _dapo_answer(record: Record) -> str:
    model = record.get("reward_model")
    if isinstance(model, dict) and "ground_truth" in model:
        return str(model["ground_truth"]).strip()
    return record.text("solution" if "solution" in record.values else "answer")
