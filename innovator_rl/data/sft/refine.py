"""Generate-Refine: a writer drafts an answer, an editor refines it, and verifiers that answer on their own must agree.

Agreement is decided by the rewarder that reinforcement learning uses: it reads the final answer out of the refined text,
and a verifier agrees where its own response is scored correct against that answer. Where a question has a gold answer, the
refined text must be scored correct against it first. Every reply is in the cache, so a build that was killed asks only
what it had not yet asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

from innovator_rl.data.sft.recipe import Persona, Refine
from innovator_rl.data.sft.row import ModelUse, SftRow
from innovator_rl.endpoints import Budget, ChatReply, ChatRequest, EndpointClient, ReplyCache, map_bounded
from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool

PROBES = ("1", "A", "True", "[C]")
"""Answers of each form, offered where there is no gold answer, to make the rewarder read a response."""

FAULT = "endpoint: "
"""Begins the reasons that are faults and say nothing about an answer."""


@dataclass(frozen=True)
class Question:
    """A question to be answered.

    Attributes:
        id: Its name; the output is sorted by it.
        messages: The prompt, as it is trained on.
        reward: The rewarder that decides agreement.
        data_source: The data set.
        answer: The gold answer; empty where there is none.
        info: What the rewarder gets besides.
    """

    id: str
    messages: tuple[dict[str, str], ...]
    reward: str
    data_source: str
    answer: str = ""
    info: dict[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the text of the question."""
        return self.messages[-1]["content"]


@dataclass(frozen=True)
class Dropped:
    """A question that gave no row."""

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Asked:
    """A persona with its client and the text of its prompt."""

    persona: Persona
    client: EndpointClient
    template: str

    def request(self, **values: str) -> ChatRequest:
        """Return the request for a question."""
        text = self.template
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        persona = self.persona
        return ChatRequest(
            ({"role": "user", "content": text},),
            max_tokens=persona.max_tokens,
            temperature=persona.temperature,
            top_p=persona.top_p,
            seed=persona.seed,
        )


class BudgetUsed(UserError):
    """The budget ended the work; what was answered is kept in the cache."""


class Refinery:
    """Answers questions with one writer, one editor and some verifiers."""

    def __init__(self, writer: Asked, editor: Asked, verifiers: Sequence[Asked], agree: int, pool: ScoringPool) -> None:
        self.writer, self.editor, self.verifiers, self.agree, self.pool = writer, editor, verifiers, agree, pool

    async def answer(self, question: Question) -> SftRow | Dropped:
        """Return the row of a question, or why there is none.

        Raises:
            BudgetUsed: The budget does not hold the next request.
        """
        draft_request = self.writer.request(question=question.text)
        draft = await self._ask(self.writer, draft_request)
        if not draft.ok:
            return _fault(question, "writer", draft)
        edit_request = self.editor.request(question=question.text, draft=draft.text)
        refined = await self._ask(self.editor, edit_request)
        if not refined.ok:
            return _fault(question, "editor", refined)
        if refined.finish_reason == "length":
            return Dropped(question.id, "the refined answer was cut", f"{refined.response_tokens} tokens")
        answer = await self._final_answer(question, refined.text)
        if isinstance(answer, Dropped):
            return answer
        uses = [_use("writer", self.writer, draft_request, draft), _use("editor", self.editor, edit_request, refined)]
        votes = await asyncio.gather(*(self._vote(question, verifier, answer) for verifier in self.verifiers))
        for vote in votes:
            if isinstance(vote, Dropped):
                return vote
            uses.append(vote)
        agreed = sum(bool(use.agrees) for use in uses)
        if agreed < self.agree:
            answers = ", ".join(f"{use.answer!r:.40}" for use in uses[2:])
            return Dropped(
                question.id, "verifiers disagree", f"{agreed} of {len(votes)} agree with {answer!r:.40}: {answers}"
            )
        messages = (*question.messages, {"role": "assistant", "content": refined.text})
        return SftRow(question.id, question.data_source, messages, answer, question.reward, tuple(uses))

    async def _final_answer(self, question: Question, text: str) -> str | Dropped:
        if question.answer:
            score = await self._score(question, text, question.answer)
            if score.outcome == "error":
                return Dropped(question.id, f"{FAULT}rewarder {score.reason}", question.reward)
            if not score.correct:
                found = f"{score.extracted!r:.60}, gold {question.answer!r:.60}"
                return Dropped(question.id, "the refined answer is not scored correct", found)
            return score.extracted or question.answer
        for probe in PROBES:
            score = await self._score(question, text, probe)
            if score.extracted:
                return score.extracted
        return Dropped(question.id, "the refined text has no final answer", text[-80:])

    async def _vote(self, question: Question, verifier: Asked, answer: str) -> ModelUse | Dropped:
        request = verifier.request(question=question.text)
        reply = await self._ask(verifier, request)
        if not reply.ok:
            return _fault(question, "verifier", reply)
        score = await self._score(question, reply.text, answer)
        return _use("verifier", verifier, request, reply, score.correct, score.extracted)

    async def _ask(self, asked: Asked, request: ChatRequest) -> ChatReply:
        reply = await asked.client.complete(request)
        if reply.reason == "budget":
            raise BudgetUsed(f"the budget is used up ({reply.detail})")
        return reply

    async def _score(self, question: Question, response: str, answer: str) -> Score:
        return await self.pool.ascore(
            ScoreRequest(question.reward, response, answer, question.text, dict(question.info), question.data_source)
        )


def _fault(question: Question, role: str, reply: ChatReply) -> Dropped:
    return Dropped(question.id, f"{FAULT}{role} {reply.reason}", reply.detail)


def _use(
    role: str,
    asked: Asked,
    request: ChatRequest,
    reply: ChatReply,
    agrees: bool | None = None,
    answer: str | None = None,
) -> ModelUse:
    return ModelUse(
        role=role,
        model=asked.persona.endpoint.model,
        prompt_sha256=request.prompt_hash(),
        seed=asked.persona.seed,
        prompt_tokens=reply.prompt_tokens,
        response_tokens=reply.response_tokens,
        cost=reply.cost,
        agrees=agrees,
        answer=answer,
    )


def read_prompt(folder: Path, persona: Persona, needs: Sequence[str]) -> str:
    """Read the prompt file of a persona.

    Args:
        folder: The folder of the recipe.
        persona: Whose prompt.
        needs: Names that the text must contain in braces.

    Raises:
        UserError: The file cannot be read or a name is missing.
    """
    path = folder / persona.prompt
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"prompt {str(path)!r} cannot be read ({error})") from None
    for name in needs:
        if "{" + name + "}" not in text:
            raise UserError(f"prompt {str(path)!r}: expected the place {{{name}}} in the text")
    return text


async def refine_all(
    refine: Refine,
    folder: Path,
    questions: Sequence[Question],
    cache_path: Path,
    pool: ScoringPool,
    report: RefineReport,
) -> None:
    """Answer every question; `report` gets the rows and what was dropped as they come.

    Raises:
        UserError: A prompt is missing, an endpoint does not answer, or the budget is used up.
    """
    budget = Budget(refine.max_requests, refine.max_tokens_total)
    async with AsyncExitStack() as stack:
        cache = ReplyCache(cache_path)
        stack.callback(cache.close)
        clients: dict[str, EndpointClient] = {}

        async def connect(persona: Persona, needs: Sequence[str]) -> Asked:
            text, key = read_prompt(folder, persona, needs), persona.endpoint.model_dump_json()
            if key not in clients:
                clients[key] = await stack.enter_async_context(EndpointClient(persona.endpoint, cache, budget))
            return Asked(persona, clients[key], text)

        writer = await connect(refine.writer, ("question",))
        editor = await connect(refine.editor, ("question", "draft"))
        verifiers = [await connect(persona, ("question",)) for persona in refine.verifiers]
        refinery = Refinery(writer, editor, verifiers, refine.agree or len(verifiers), pool)
        try:
            async with aclosing(map_bounded(refinery.answer, questions, refine.concurrency)) as outcomes:
                async for outcome in outcomes:
                    report.add(outcome, budget)
        except BudgetUsed as stop:
            done = len(report.rows) + len(report.dropped)
            raise UserError(
                f"{stop} after {done} of {len(questions)} questions: raise refine.max_requests or max_tokens_total and "
                "build again; what was answered is kept"
            ) from None


class RefineReport:
    """Rows and dropped questions as they come; subclasses show progress."""

    def __init__(self) -> None:
        self.rows: list[SftRow] = []
        self.dropped: list[Dropped] = []
        self.requests = 0

    def add(self, outcome: SftRow | Dropped, budget: Budget) -> None:
        """Take the outcome of one question."""
        if isinstance(outcome, Dropped):
            self.dropped.append(outcome)
        else:
            self.rows.append(outcome)
        self.requests = budget.requests
