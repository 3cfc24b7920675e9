"""Build and parse the keys of prompt groups and samples in verl's queue.

A prompt group has the key `UID`, a sample of it `UID_SESSION_OUTPUT`: SESSION numbers the responses of the group and
OUTPUT the turns of an agent loop that returns several. verl finds the group of a sample by splitting its key at the
first underscore, so a uid must not contain one. This module is the only one that depends on this form.
"""

from __future__ import annotations

from typing import NamedTuple

SEPARATOR = "_"


class SampleKey(NamedTuple):
    """The parts of a sample's key: its group, its number in the group, its turn."""

    uid: str
    session: int
    output: int = 0

    @classmethod
    def parse(cls, key: str) -> SampleKey:
        """Split a sample's key.

        Raises:
            ValueError: the key does not have the form UID_SESSION_OUTPUT.
        """
        uid, *numbers = key.split(SEPARATOR)
        if not uid or len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            raise ValueError(
                f"{key!r} must have the form UID{SEPARATOR}SESSION{SEPARATOR}OUTPUT, without another underscore"
            )
        return cls(uid, int(numbers[0]), int(numbers[1]))

    def __str__(self) -> str:
        return SEPARATOR.join((check_uid(self.uid), str(self.session), str(self.output)))


def group_uid(key: str) -> str:
    """Return the uid of the group of a sample's key, or of the group's own key."""
    return key.partition(SEPARATOR)[0]


def prompt_uid(epoch: int, row: int, position: int) -> str:
    """Return the uid of the prompt group at a place of the run's prompt order.

    Args:
        epoch: epoch of the prompt order, from 0.
        row: number of the prompt's row in the training data.
        position: number of the prompt in the run; it makes the uid unique and survives a resume.
    """
    return check_uid(f"e{epoch:04d}-r{row:07d}-p{position:08d}")


def prompt_row(uid: str) -> int | None:
    """Return the row number in the training data that `prompt_uid` wrote; None for a uid of other origin."""
    parts = uid.split("-")
    return int(parts[1][1:]) if len(parts) == 3 and parts[1][:1] == "r" and parts[1][1:].isdigit() else None


def prompt_order(key: str) -> tuple[int, str]:
    """Return a sort key of samples: the place of the prompt in the run's order, then the sample.

    Samples of other origin, such as verl's padding, come last.
    """
    _, found, place = group_uid(key).rpartition("-p")
    return (int(place), key) if found and place.isdigit() else (2**63, key)


def check_uid(uid: str) -> str:
    """Return `uid` unchanged.

    Raises:
        ValueError: the uid is empty or contains an underscore, at which verl splits keys.
    """
    if not uid or SEPARATOR in uid:
        raise ValueError(f"uid {uid!r} must not be empty or contain {SEPARATOR!r}: verl splits keys there")
    return uid
