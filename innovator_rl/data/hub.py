"""Read a data set of the Hugging Face hub by its id, streamed, so that only the rows that are used are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from innovator_rl.errors import UserError


class Hub(BaseModel):
    """A data set of the hub.

    Attributes:
        id: OWNER/NAME.
        config: The configuration, where the data set has several.
        split: The split to read.
        revision: A commit or tag; the newest where empty. Name one for a build that can be repeated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    config: str = ""
    split: str = "train"
    revision: str = ""

    @classmethod
    def parse(cls, text: str) -> Hub:
        """Return the data set of `hub:OWNER/NAME`, with an optional `@REVISION`."""
        name, _, revision = text.removeprefix("hub:").partition("@")
        try:
            return cls(id=name, revision=revision)
        except ValueError:
            raise UserError(f"source {text!r}: expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION") from None


def hub_rows(hub: Hub) -> Iterator[dict[str, Any]]:
    """Yield the rows of a hub data set.

    Raises:
        UserError: It cannot be loaded; the message has the cause and the way without a network.
    """
    import datasets

    # The library retries on its own; what is left (no network, no such id, a gated set) is the caller's to fix. It
    # raises many unrelated types for these, so none can be named here.
    try:
        rows = datasets.load_dataset(  # type: ignore[attr-defined]  # the folder datasets/ hides it from mypy
            hub.id, hub.config or None, split=hub.split, revision=hub.revision or None, streaming=True
        )
        yield from rows
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"hub data set {hub.id!r} cannot be loaded ({type(error).__name__}: {reason}): "
            "check the id and the network, or give a downloaded file with --source FILE"
        ) from None
