"""Write back what a check changes in the containers of a program's object.

`node.children.append(other)` gets a list by value and changes it. So the program's side numbers the containers in an
attribute (`numbered`), and the check's side keeps those that it got (`Held`): what changed in them goes along with the
next question, and the same container arrives as the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_CONTAINERS, MAX_LENGTH, MAX_NUMBERED = 32, 1000, 20_000
_TYPES: tuple[type, ...] = (list, dict, set)


def numbered(alive: list[Any], number: Callable[[Any], int]) -> list[tuple[int, int]]:
    """Return place and number of the first containers of an answer.

    Args:
        alive: By place, the objects of the answer.
        number: Returns the number of an object, by which the other side can name it later.
    """
    found = [place for place, item in enumerate(alive) if type(item) in _TYPES and len(item) <= MAX_LENGTH]
    return [(place, number(alive[place])) for place in found[:MAX_CONTAINERS]]


def pairs(found: Any) -> list[tuple[int, int]]:
    """Return the pairs of whole numbers of an answer; raises `ValueError` or `TypeError` for anything else."""
    made = [(place, number) for place, number in found or ()]
    if any(type(part) is not int or part < 0 for pair in made for part in pair):
        raise ValueError("no pair of numbers")
    return made


class Held:
    """The containers of the program's objects that the check got last."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Any, list[Any]]] = {}

    def known(self, pairs: Iterable[tuple[int, int]]) -> dict[int, Any]:
        """Return by place the containers that the check has already, which are given the content that arrives."""
        return {place: self._kept[number][0] for place, number in pairs if number in self._kept}

    def note(self, pairs: Iterable[tuple[int, int]], made: list[Any]) -> None:
        """Keep the containers of an answer, as they are now."""
        for place, number in pairs:
            if place < len(made) and type(made[place]) in _TYPES:
                self._kept.pop(number, None)
                self._kept[number] = made[place], _parts(made[place])
        while len(self._kept) > MAX_CONTAINERS:
            self._kept.pop(next(iter(self._kept)))

    def changed(self) -> list[Any]:
        """Return the containers that the check has changed since, and take them as they are now."""
        found = []
        for number, (item, before) in self._kept.items():
            now = _parts(item)
            if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                self._kept[number] = item, now
                found.append(item)
        return found

    def numbers(self, places: Mapping[int, int]) -> list[tuple[int, int]]:
        """Return place and number of the containers that a question holds, given the places of objects by identity."""
        return [(places[id(item)], number) for number, (item, _) in self._kept.items() if id(item) in places]


def _parts(item: Any) -> list[Any]:
    return [part for pair in item.items() for part in pair] if type(item) is dict else list(item)
