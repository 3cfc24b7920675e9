"""Read data sets of the Hugging Face hub by id.

    path: hub://allenai/sciq?split=train&subset=default&revision=main

The commit behind the revision is looked up once per build and is the identity of the input, so that a data set that changed is
read again and one that did not is not. Rows are streamed through `datasets`. Without a network, or with `HF_HUB_OFFLINE=1`,
the build stops with one line before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.corpus.readers.opening import InputFile
from innovator_rl.data.corpus.readers.rows import Read, from_record
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

SCHEME = "hub://"
_OPTIONS = ("split", "subset", "revision")


@dataclass(frozen=True)
class HubDataset:
    """A data set of the hub, one split of it.

    Attributes:
        id: `owner/name`.
        subset: Configuration of the data set; its default one where empty.
        revision: Branch, tag or commit.
    """

    id: str
    split: str = "train"
    subset: str = ""
    revision: str = "main"

    @property
    def name(self) -> str:
        """Name in documents and errors."""
        return "/".join(part for part in (self.id, self.subset, self.split) if part)


def parse_hub(source: str, path: str) -> HubDataset:
    """Return the data set that a path names.

    Raises:
        UserError: when the id or an option is malformed.
    """
    parts = urlsplit(path)
    name = f"{parts.netloc}{parts.path}".strip("/")
    if name.count("/") != 1:
        raise UserError(
            f"source {source!r}: {path!r} must be hub://OWNER/NAME?split=SPLIT&subset=SUBSET&revision=REVISION"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key in options:
        if key not in _OPTIONS:
            raise UserError(
                f"source {source!r}: unknown option {key!r} in {path!r}; expected one of {', '.join(_OPTIONS)}"
            )
    return HubDataset(name, **options)


def find_hub(source: str, path: str) -> list[InputFile]:
    """Return the data set as one input whose URL names the commit.

    Raises:
        UserError: when the hub cannot be reached or does not know the data set.
    """
    wanted = parse_hub(source, path)
    hub = require("huggingface_hub", "huggingface_hub", "reading a data set of the hub")
    transport = require("httpx", "httpx", "reading a data set of the hub").HTTPError
    try:
        info = hub.HfApi().dataset_info(wanted.id, revision=wanted.revision, timeout=30)
    except (OSError, ValueError, transport) as error:
        raise UserError(
            f"source {source!r}: data set {wanted.id!r} at revision {wanted.revision!r} cannot be found on the hub "
            f"({type(error).__name__}): check the id and the network, or name local files"
        ) from None
    url = f"{SCHEME}{wanted.id}?split={wanted.split}&subset={wanted.subset}&revision={info.sha}"
    return [InputFile(url, wanted.name, int(getattr(info, "used_storage", 0) or 0))]


def read_hub(file: InputFile, source: Source) -> Read:
    """Yield a document per row of the data set that an input names."""
    wanted = parse_hub(source.name, file.url)
    yield from read_dataset(wanted.id, file.name, source, wanted.split, wanted.subset, wanted.revision)


def read_dataset(
    path: str, name: str, source: Source, split: str, subset: str = "", revision: str | None = None
) -> Iterator[Any]:
    """Yield a document per row of what `datasets.load_dataset` finds under an id or in a folder."""
    datasets = require("datasets", "datasets", "reading a data set of the hub")
    row = 0
    try:
        rows = datasets.load_dataset(path, subset or None, split=split, revision=revision, streaming=True)
        for record in rows:
            row += 1
            yield from_record(record, name, row, source)
    except Exception as error:  # a loader, a transport or a format of the library: rows before it stay
        yield RowError(
            file=name, row=row and row + 1, reason="broken data set", detail=f"{type(error).__name__}: {error}"[:200]
        )
