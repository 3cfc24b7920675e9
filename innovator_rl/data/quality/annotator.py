"""Grade passages by a language model behind an endpoint, or by measured signals where there is none.

    settings = AnnotatorSettings(endpoint=EndpointConfig(url="http://127.0.0.1:8000/v1", model="my-model"))
    agreement = check_agreement(settings, cache=Path("replies.sqlite"))   # raises below settings.agreement
    annotations = annotate(settings, ["a passage", "another"], cache=Path("replies.sqlite"))

An annotator is trusted only after it has graded the gold passages: below the required agreement `check_agreement` raises and
lists the passages on which it disagrees. A language model is measured on all gold passages, the signals on the half that did not
choose their bounds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.quality.grading import (
    GOLD,
    RUBRIC,
    Agreement,
    Levels,
    Rubric,
    load_gold,
    load_rubric,
    measure_agreement,
)
from innovator_rl.data.quality.signals import grade, measure
from innovator_rl.endpoints import ChatReply, ChatRequest, EndpointClient, EndpointConfig, map_bounded
from innovator_rl.errors import UserError

PROMPT = Path(__file__).with_name("annotator.md")
REQUIRED = 0.95
"""Share of gold passages on which an annotator must decide like the reader."""

SHOWN = 40
"""Disagreements that an error lists."""

ANSWER_TOKENS = 256


class AnnotatorSettings(BaseModel):
    """Who annotates, by which rubric, and what agreement is required."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    endpoint: EndpointConfig | None = Field(None, description="A language model; without one, signals annotate.")
    prompt: str = Field("", description="File with {rubric} and {passage}; by default the one of this package.")
    rubric: str = Field("", description="Rubric file; by default the one of this package.")
    gold: str = Field("", description="Gold file; by default the one of this package.")
    agreement: float = Field(REQUIRED, ge=0, le=1, description="Required share of equal decisions on gold passages.")
    max_characters: int = Field(4000, ge=200, description="A longer passage is graded by its beginning.")

    def files(self) -> dict[str, Path]:
        """Return the files that decide the annotations."""
        files = {"rubric": Path(self.rubric) if self.rubric else RUBRIC, "gold": Path(self.gold) if self.gold else GOLD}
        return files | ({"prompt": Path(self.prompt) if self.prompt else PROMPT} if self.endpoint else {})

    def name(self) -> str:
        """Return the annotator's name for manifests and cards."""
        return f"model {self.endpoint.model}" if self.endpoint else "measured signals"

    def fingerprint(self) -> dict[str, object]:
        """Return what decides the annotations; addresses, rates and budgets do not."""
        model = {"model": self.endpoint.model, "extra": self.endpoint.extra} if self.endpoint else {}
        files = {}
        for name, path in self.files().items():
            try:
                files[name] = hash_file(path)
            except OSError as error:
                raise UserError(f"{name} {str(path)!r} cannot be read ({error.strerror})") from None
        return {**model, "files": files, "agreement": self.agreement, "max_characters": self.max_characters}


@dataclass(frozen=True)
class Annotation:
    """The grade of one passage.

    Attributes:
        levels: None where the annotator gave no valid answer.
        reason: Why there are none: a reason of the endpoint, or `invalid answer`.
        detail: What exactly was wrong.
    """

    levels: Levels | None
    reason: str = ""
    detail: str = ""


def annotate(settings: AnnotatorSettings, passages: Sequence[str], cache: Path | None = None) -> list[Annotation]:
    """Grade passages; one that fails has a reason and costs its neighbors nothing.

    Args:
        settings: Who annotates.
        passages: Markdown, English or Chinese.
        cache: File of replies, so that work that was interrupted asks nothing twice.

    Raises:
        UserError: when the endpoint does not answer at all or its budget is used up.
    """
    rubric = load_rubric(settings.files()["rubric"])
    texts = [passage[: settings.max_characters] for passage in passages]
    if settings.endpoint is None:
        return [Annotation(grade(measure(text), rubric.signals)) for text in texts]
    return asyncio.run(_ask_all(settings.endpoint, _template(settings, rubric), texts, cache))


def _template(settings: AnnotatorSettings, rubric: Rubric) -> str:
    path = settings.files()["prompt"]
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"prompt {str(path)!r} cannot be read ({error})") from None
    for place in ("{rubric}", "{passage}"):
        if place not in template:
            raise UserError(f"prompt {str(path)!r}: expected the place {place} in the text")
    return template.replace("{rubric}", rubric.describe())


async def _ask_all(
    endpoint: EndpointConfig, template: str, texts: Sequence[str], cache: Path | None
) -> list[Annotation]:
    found: dict[int, Annotation] = {}
    async with EndpointClient(endpoint, cache=cache) as client:

        async def ask(item: tuple[int, str]) -> tuple[int, ChatReply]:
            number, text = item
            request = ChatRequest.ask(template.replace("{passage}", text), max_tokens=ANSWER_TOKENS)
            return number, await client.complete(request)

        async with aclosing(map_bounded(ask, enumerate(texts), endpoint.concurrency * 2)) as replies:
            async for number, reply in replies:
                if reply.reason == "budget":
                    raise UserError(
                        f"annotator {endpoint.model!r}: the budget is used up after {len(found)} of {len(texts)} passages "
                        f"({reply.detail}); raise max_requests or max_tokens_total and build again, answers are kept"
                    )
                found[number] = read_answer(reply.text) if reply.ok else Annotation(None, reply.reason, reply.detail)
    return [found[number] for number in range(len(texts))]


def read_answer(text: str) -> Annotation:
    """Read the levels out of a model's answer: its last JSON object that has them, after any reasoning."""
    decoder = json.JSONDecoder()
    detail = "no JSON object"
    for start in reversed([place for place, character in enumerate(text) if character == "{"]):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        try:
            return Annotation(Levels.model_validate(value, strict=True))
        except ValidationError as error:
            first = error.errors()[0]
            detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return Annotation(None, "invalid answer", f"{detail}: {text[:80]!r}")


def check_agreement(settings: AnnotatorSettings, cache: Path | None = None) -> Agreement:
    """Let the annotator grade the gold passages and compare.

    Raises:
        UserError: below `settings.agreement`, with the passages on which it decides otherwise.
    """
    files = settings.files()
    rubric = load_rubric(files["rubric"])
    gold = load_gold(files["gold"])
    if settings.endpoint is None:
        gold = [passage for passage in gold if passage.split == "held_out"]
        if not gold:
            raise UserError(f"gold file {str(files['gold'])!r} must have passages whose split is held_out")
    annotations = annotate(settings, [passage.text for passage in gold], cache)
    agreement = measure_agreement(
        gold, [a.levels for a in annotations], rubric, [f"{a.reason}: {a.detail}" for a in annotations]
    )
    if agreement.kept < settings.agreement:
        listed = [disagreement.describe() for disagreement in agreement.disagreements]
        more = [f"… and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
        raise UserError(
            "\n  ".join(
                [
                    f"annotator ({settings.name()}) agrees with {agreement.kept:.1%} of {agreement.passages} gold passages, "
                    f"agreement must be at least {settings.agreement:.1%}: take another model or prompt, or set `agreement` "
                    "lower in the recipe, which the card will state. Levels are cleanliness/coherence/content:",
                    *listed[:SHOWN],
                    *more,
                ]
            )
        )
    return agreement
