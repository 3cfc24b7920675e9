"""Return a response token by token: its text and every recorded series.

The text of a token comes from a tokenizer.json in the run directory (the trainer's checkpoints contain one), read with the
`tokenizers` package where it is installed; otherwise the ids are shown. No model library is needed.
"""

from __future__ import annotations

import codecs
import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from innovator_rl.dashboard.runs.config_file import read_config
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError

MOST_TOKENS = 20_000
MOST_TOKENIZER_BYTES = 64 * 2**20
SERIES = ("old_logprobs", "rollout_logprobs", "entropy", "ratio", "clip_side")
TOKENIZER_PLACES = (
    "tokenizer.json",
    "checkpoints/*/tokenizer.json",
    "checkpoints/*/*/tokenizer.json",
    "checkpoints/*/*/*/tokenizer.json",
)

Row = dict[str, Any]
log = logging.getLogger(__name__)


def tokens_answer(
    session: RunSession, kind: str, step: int, uid: str, sample_index: int, offset: int, limit: int
) -> Row:
    """Return a part of one response, token by token.

    Args:
        session: The opened run.
        kind: `train` or `validation`.
        step: Training step.
        uid: Group of the response.
        sample_index: Number of the response in its group, from 0.
        offset: First token, from 0.
        limit: Greatest number of tokens.

    Raises:
        RequestError: No token data was recorded (404).
    """
    found = recorded(session, kind, step, uid, sample_index)
    if found is None:
        raise RequestError(f"token data not found: response {sample_index} of {uid[:80]!r} in step {step}", 404)
    series = _series(found)
    ids = found.get("token_ids")
    total = max([0 if ids is None else len(ids), *(len(values) for values in series.values())])
    window = (
        [None] * (min(total, offset + limit) - min(total, offset))
        if ids is None
        else ids[offset : offset + limit].tolist()
    )
    source, text = token_texts(session.run.path, window)
    return {
        "offset": offset,
        "total": total,
        "text_source": source,
        "ids": window,
        "text": text,
        "series": {name: np.ascontiguousarray(values[offset : offset + limit]) for name, values in series.items()},
        "advantage": found.get("advantage"),
        "clip": _clip(session),
        "ranges": {name: _range(values) for name, values in series.items() if name != "clip_side"},
    }


def recorded(session: RunSession, kind: str, step: int, uid: str, sample_index: int) -> Row | None:
    """Return a response's rows of `tokens/` and `updates/`, merged.

    None where it has neither.
    """
    rows = session.index.query(
        "SELECT attempt FROM all_responses WHERE kind = ? AND step = ? AND prompt_uid = ? AND sample_index = ?",
        [kind, step, uid, sample_index],
    )
    if not rows:
        raise RequestError(f"response not found: {sample_index} of {uid[:80]!r} in step {step} ({kind})", 404)
    merged: Row = {}
    for dataset, columns in (("tokens", ("token_ids", "rollout_logprobs")), ("updates", ("advantage", *SERIES))):
        segments = session.index.catalog.segments(dataset, [step], kind)
        for segment in sorted(segments, key=lambda segment: -segment.attempt):  # a later attempt may have trained it
            name = segment.path.relative_to(session.run.path).as_posix()
            if segment.attempt < rows[0]["attempt"]:
                continue
            position = session.reader.find(name, uid, sample_index)
            if position is not None:
                merged.update(session.reader.arrays(name, position, columns))
                break
    return merged if any(isinstance(value, np.ndarray) for value in merged.values()) else None


def _series(found: Row) -> dict[str, np.ndarray]:
    names = {"logprob": "rollout_logprobs", "old_logprob": "old_logprobs"} | {
        n: n for n in ("ratio", "clip_side", "entropy")
    }
    series = {name: found[column] for name, column in names.items() if len(found.get(column, ()))}
    if "logprob" in series and "old_logprob" in series and len(series["logprob"]) == len(series["old_logprob"]):
        series["gap"] = series["old_logprob"] - series["logprob"]
    return series


def _range(values: np.ndarray) -> list[float] | None:
    finite = values[np.isfinite(values)]
    return [float(finite.min()), float(finite.max())] if len(finite) else None


def _clip(session: RunSession) -> Row:
    algorithm = (session.cached("config", ("status",), lambda: read_config(session.run))[0] or {}).get("algorithm")
    algorithm = algorithm if isinstance(algorithm, dict) else {}
    return {"low": algorithm.get("clip_low"), "high": algorithm.get("clip_high")}


def token_texts(run_dir: Path, ids: list[Any]) -> tuple[str, list[str]]:
    """Return the source of the text (`tokenizer` or `ids`) and one text per token.

    A character that several tokens share appears with the last of them.
    """
    path = _tokenizer_file(run_dir)
    tokenizer = _load(path, path.stat().st_mtime_ns) if path else None
    if tokenizer is None:
        return "ids", [f"#{i}" if i is not None else "" for i in ids]
    pieces = [tokenizer.id_to_token(i) if isinstance(i, int) and i >= 0 else None for i in ids]
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    letters = byte_letters()
    texts = []
    for i, piece in zip(ids, pieces, strict=True):
        if piece is None:
            texts.append(f"#{i}" if i is not None else "")
        elif all(letter in letters for letter in piece):
            texts.append(decode(bytes(letters[letter] for letter in piece)))
        else:
            texts.append(piece.replace("\u2581", " "))
    return "tokenizer", texts


def _tokenizer_file(run_dir: Path) -> Path | None:
    for place in TOKENIZER_PLACES:
        for path in sorted(run_dir.glob(place)):
            inside = path.resolve().is_relative_to(run_dir.resolve())
            if inside and path.is_file() and path.stat().st_size <= MOST_TOKENIZER_BYTES:
                return path
    return None


@cache
def _load(path: Path, stamp: int) -> Any:
    try:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(path))
    except Exception as error:  # the package is missing or the file is no tokenizer: ids are shown
        log.warning("%s is not used to decode tokens: %s", path, error)
        return None


@cache
def byte_letters() -> dict[str, int]:
    """Return the byte for each printable letter of byte-level BPE.

    This is the inverse of GPT-2's table.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(rest)}
