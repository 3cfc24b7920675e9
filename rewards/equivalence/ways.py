"""Words for a change and for a way to point: `doubles` is `increases by a factor of 2`, `up` is `vertically upward`."""

from __future__ import annotations


def _phrases(text: str) -> list[str]:
    """Return the phrases of a list with commas."""
    return [phrase.strip() for phrase in text.split(",")]


def _growth(verb: str, passive: str, digit: str, number: str) -> dict[str, str]:
    """Return what a growth by a factor is called: doubles, is doubled, increases by a factor of 2."""
    phrases = [verb, f"it {verb}", passive, f"it {passive}"]
    phrases += [f"{it}increases by a factor of {name}" for it in ("", "it ") for name in (digit, number)]
    return dict.fromkeys(phrases, verb)


def _way(name: str, adverb: str) -> dict[str, str]:
    """Return what a direction is called: up, upward, upwards, in the upward direction."""
    phrases = [name, adverb, f"{adverb}s", f"{adverb} direction", f"in the {adverb} direction"]
    phrases += [f"to the {name}", f"toward the {name}", f"towards the {name}", f"due {name}"]
    if name in ("up", "down"):
        phrases += [f"vertically {adverb}", f"vertically {adverb}s"]
    return dict.fromkeys(phrases, name)


_SAME = (
    "stays the same, remains the same, remains constant, stays constant, remains unchanged, unchanged, is unchanged, "
    "does not change, no change, it does not change, it remains constant, it stays the same"
)
_HALF = "halves, is halved, it is halved, decreases by a factor of 2, decreases by a factor of two, is reduced by half"
_CLOCKWISE = "clockwise, clockwise direction, in the clockwise direction"
_COUNTERCLOCKWISE = (
    "counterclockwise, anticlockwise, counter-clockwise, anti-clockwise, counterclockwise direction, "
    "in the counterclockwise direction"
)
_INTO = "into the page, into page, into the paper, into the plane of the page, \\otimes"
_OUT = "out of the page, out of page, out of the paper, out of the plane of the page, \\odot"

WAYS: dict[str, str] = {
    **dict.fromkeys(_phrases(_SAME), "unchanged"),
    **dict.fromkeys(_phrases(_HALF), "halves"),
    **_growth("doubles", "is doubled", "2", "two"),
    **_growth("triples", "is tripled", "3", "three"),
    **_growth("quadruples", "is quadrupled", "4", "four"),
    **_way("up", "upward"),
    **_way("down", "downward"),
    **_way("left", "leftward"),
    **_way("right", "rightward"),
    **_way("north", "northward"),
    **_way("south", "southward"),
    **_way("east", "eastward"),
    **_way("west", "westward"),
    **dict.fromkeys(_phrases(_CLOCKWISE), "clockwise"),
    **dict.fromkeys(_phrases(_COUNTERCLOCKWISE), "counterclockwise"),
    **dict.fromkeys(
        _phrases("attractive, attraction, attract, they attract, is attractive, an attractive force"), "attractive"
    ),
    **dict.fromkeys(_phrases("repulsive, repulsion, repel, they repel, is repulsive, a repulsive force"), "repulsive"),
    **dict.fromkeys(_phrases(_INTO), "into the page"),
    **dict.fromkeys(_phrases(_OUT), "out of the page"),
}
"""Phrase in lower case to its common name."""
