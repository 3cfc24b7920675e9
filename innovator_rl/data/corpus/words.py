"""Split text into words and hash runs of words, for filters and comparisons.

A word is a run of letters and digits, and each Chinese, Japanese or Korean character is a word of its own. Numbers are
kept: two exercises that differ in their numbers only are different exercises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import xxhash
from numpy.typing import NDArray

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]


def strings_in(value: object) -> Iterator[str]:
    """Yield every string in a JSON value: an evaluation set may hold choices as a list and prompts as messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings_in(part)


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case and compatibility form."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def locate_words(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text in lower case and compatibility form, and where its words start and end in it."""
    text = unicodedata.normalize("NFKC", text).lower()
    return text, [match.span() for match in _WORD.finditer(text)]


def count_words(text: str) -> int:
    """Return the number of words."""
    return sum(1 for _ in _WORD.finditer(text))


def hash_ngrams(words: list[str], n: int) -> Hashes:
    """Return the hash of each run of `n` words, in order, as uint64 [max(0, words - n + 1)]."""
    return hash_runs(hash_words(words), n)


def hash_words(words: list[str]) -> Hashes:
    """Return the hash of each word, uint64 [words]."""
    return np.fromiter(map(_hash_word, words), np.uint64, len(words))


def hash_runs(hashed: Hashes, n: int) -> Hashes:
    """Return the hash of each run of `n` hashed words."""
    if len(hashed) < n:
        return np.empty(0, np.uint64)
    total: Hashes = np.zeros(len(hashed) - n + 1, np.uint64)
    for offset in range(n):
        total = (total ^ hashed[offset : offset + len(total)]) * _MULTIPLIER
        total ^= total >> np.uint64(29)
    return total


@lru_cache(maxsize=2**18)
def _hash_word(word: str) -> int:
    return xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass"))


def hash_text(text: str) -> int:
    """Return a 64-bit hash of the words of a text; layout, case and punctuation do not count."""
    return xxhash.xxh3_64_intdigest("\n".join(split_words(text)).encode("utf-8", "surrogatepass"))
