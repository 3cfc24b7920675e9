"""Run a task of lm-evaluation-harness: its prompts, filters and metrics, with our driver.

Tasks are found and built in `harness_index.py`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from innovator_rl.errors import UserError
from innovator_rl.evaluation.harness_index import LocalCopy, build_leaf, leaf_names
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.requests import GenerateRequest, Generation, OptionRequest, OptionScore
from innovator_rl.evaluation.statistics import Estimate, bootstrap, mean_estimate
from innovator_rl.evaluation.task import (
    Drawing,
    MetricResult,
    PreparedTask,
    ResponseSource,
    TaskOutcome,
    TaskUnavailable,
    document_id,
    sample_seed,
)
from innovator_rl.rollouts.schema import RolloutRow

FEWSHOT_SEED = 1234  # the harness's default
MAX_NEW_TOKENS = 256  # the harness's default


@dataclass
class HarnessTask:
    """A task or group of the harness.

    Attributes:
        name: The name in reports.
        task: The name in the harness.
        metric: The metric to report first.
        filter: The filter that it is computed after.
        shots: The number of examples; None for the task's own.
        chat: Whether the chat template is applied.
        local: Finds local copies of data sets.
    """

    name: str
    task: str
    metric: str
    filter: str = "none"
    shots: int | None = None
    chat: bool = False
    max_new_tokens: int | None = None
    local: LocalCopy = lambda hub_id, name: None
    _leaves: list[_Leaf] = field(default_factory=list, init=False)
    _missing: list[str] = field(default_factory=list, init=False)

    def prepare(self, prompter: Prompter, drawing: Drawing) -> PreparedTask:
        """Load the data, draw rows and render prompts."""
        names = leaf_names(self.task)
        limit = drawing.limit
        self._leaves, self._missing = [], []
        reasons: dict[str, str] = {}
        # A limited group takes its rows from as many of its parts as it has rows, so that one subject is not the whole.
        shares = _shares(limit, len(names), drawing.seed)
        for leaf_name, share in zip(names, shares, strict=True):
            if share == 0:
                continue
            try:
                task = build_leaf(leaf_name, self.task, self.shots, self.local)
            except TaskUnavailable as error:
                reasons[leaf_name] = str(error)
                continue
            leaf = _Leaf(leaf_name, task, self.chat, self.max_new_tokens)
            leaf.require_metric(self.task, self.metric, self.filter)
            leaf.prepare(prompter, Drawing(share, drawing.seed))
            self._leaves.append(leaf)
        self._missing = sorted(reasons)
        if not self._leaves:
            raise TaskUnavailable(next(iter(reasons.values()), "no rows drawn"))
        return PreparedTask(
            rows=sum(leaf.rows for leaf in self._leaves),
            whole=sum(leaf.whole for leaf in self._leaves),
            prompts=sum(len(leaf.requests) for leaf in self._leaves),
            longest=max((leaf.longest for leaf in self._leaves), key=sum),
            first_prompt=self._leaves[0].first_prompt,
            first_tokens=self._leaves[0].first_tokens,
            text=all(isinstance(request, GenerateRequest) for leaf in self._leaves for request in leaf.requests[:1]),
        )

    def questions(self) -> list[tuple[str, str, str]]:
        """Return id, question and reference of every row, without examples."""
        found = []
        missing: TaskUnavailable | None = None
        for name in leaf_names(self.task):
            try:
                task = build_leaf(name, self.task, self.shots, self.local)
            except TaskUnavailable as error:  # the other parts of a group can be asked
                missing = error
                continue
            for document in task.eval_docs:
                text = task.doc_to_text(document)
                if isinstance(text, str):
                    found.append((document_id(name, _plain(document)), text, _target(task, document)))
        if missing is not None and not found:
            raise missing
        return found

    def run(self, driver: ResponseSource) -> TaskOutcome:
        """Answer all parts and merge their metrics over rows, which is the harness's weighting by size."""
        answers = self._answers(driver)
        parts = [
            leaf.grade(self.name, own, self.metric, self.filter)
            for leaf, own in zip(self._leaves, answers, strict=True)
        ]
        merged: dict[str, list[Any]] = defaultdict(list)
        for part in parts:
            for key, values in part.values.items():
                merged[key].extend(values)
        aggregate = {key: function for part in parts for key, function in part.aggregations.items()}
        wanted = _full_name(self.metric, self.filter)
        if wanted not in merged:
            raise UserError(f"task {self.task}: unknown metric {wanted!r}; expected {', '.join(sorted(merged))}")
        without = [leaf.name for leaf, part in zip(self._leaves, parts, strict=True) if wanted not in part.values]
        if without:
            raise UserError(
                f"task {self.task}: metric {wanted!r} not found in its part {without[0]}; name another metric"
            )
        metrics = [MetricResult(key, _estimate(values, aggregate[key])) for key, values in merged.items()]
        metrics.sort(key=lambda metric: metric.name != wanted)
        facts: dict[str, Any] = {
            "format": "chat" if self.chat else "raw",
            "shots": self._leaves[0].shots,
            "truncated": sum(part.truncated for part in parts),
            "responses": sum(len(part.rows) for part in parts),
        }
        if self._missing:
            facts["missing_subsets"] = self._missing
        if len(parts) > 1:
            facts["subsets"] = {
                leaf.name: mean_estimate([float(v) for v in part.values[wanted]]).score
                for leaf, part in zip(self._leaves, parts, strict=True)
                if all(isinstance(v, (int, float)) for v in part.values[wanted])
            }
        ids = [identity for part in parts for identity in part.ids]
        rows = [row for part in parts for row in part.rows]
        numeric = all(isinstance(value, (int, float)) for value in merged[wanted])
        by_row = dict(zip(ids, map(float, merged[wanted]), strict=True)) if numeric else {}
        return TaskOutcome(metrics, rows, by_row, facts)

    def constant(self) -> float | None:
        """Return the accuracy of choosing the same place of the options everywhere; None for tasks without options."""
        gold = [place for leaf in self._leaves for place in leaf.gold()]
        if not gold or None in gold or self.metric not in ("acc", "acc_norm"):
            return None
        return max(Counter(gold).values()) / len(gold)

    def _answers(self, driver: ResponseSource) -> list[list[Generation] | list[OptionScore]]:
        """Ask for all parts at once: an engine is fastest with a full queue."""
        found: dict[int, Any] = {}
        for kind in (GenerateRequest, OptionRequest):
            leaves = [
                (i, leaf) for i, leaf in enumerate(self._leaves) if leaf.requests and isinstance(leaf.requests[0], kind)
            ]
            requests: list[Any] = [request for _, leaf in leaves for request in leaf.requests]
            if not requests:
                continue
            answers: Sequence[Any] = (
                driver.generate(requests, self.name)
                if kind is GenerateRequest
                else driver.score_options(requests, self.name)
            )
            start = 0
            for index, leaf in leaves:
                found[index] = list(answers[start : start + len(leaf.requests)])
                start += len(leaf.requests)
        return [found.get(index, []) for index in range(len(self._leaves))]


def _distinct(ids: Sequence[str]) -> list[str]:
    """Return ids of which none is given twice: a file may have the same row again."""
    seen: Counter[str] = Counter()
    found = []
    for identity in ids:
        seen[identity] += 1
        found.append(identity if seen[identity] == 1 else f"{identity}#{seen[identity]}")
    return found


def _full_name(metric: str, chosen: str) -> str:
    return metric if chosen == "none" else f"{metric},{chosen}"


def _shares(limit: int | None, parts: int, seed: int) -> list[int | None]:
    """Return how many rows each part of a group gives."""
    if limit is None:
        return [None] * parts
    base, rest = divmod(limit, parts)
    extra = set(Drawing(rest, seed).indices(parts)) if rest else set()
    return [base + (index in extra) for index in range(parts)]


def _estimate(values: list[Any], aggregate: Callable[[list[Any]], float]) -> Estimate:
    if all(isinstance(value, (int, float, np.number)) for value in values) and aggregate.__name__ == "mean":
        return mean_estimate([float(value) for value in values])
    score = float(aggregate(values))
    interval = bootstrap(len(values), lambda rows: float(aggregate([values[i] for i in rows])), resamples=200)
    return Estimate(score, len(values), interval)


@dataclass
class _Part:
    """The grades of one leaf: values of each metric by row, ids, records."""

    values: dict[str, list[Any]]
    aggregations: dict[str, Callable[[list[Any]], float]]
    ids: list[str]
    rows: list[RolloutRow]
    truncated: int


class _Leaf:
    """One task of the harness, prepared."""

    def __init__(self, name: str, task: Any, chat: bool, max_new_tokens: int | None) -> None:
        self.name, self.task, self.chat, self.max_new_tokens = name, task, chat, max_new_tokens
        self.requests: list[Any] = []
        self.rows = self.whole = 0
        self.longest = (0, 0)
        self.first_prompt = ""
        self.first_tokens: tuple[int, ...] = ()
        self.shots = int(task.config.num_fewshot or 0)

    def prepare(self, prompter: Prompter, drawing: Drawing) -> None:
        """Render the prompts of the drawn rows."""
        task = self.task
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
        self.whole = len(task.eval_docs)
        indices = drawing.indices(self.whole)
        self.rows = len(indices)
        try:
            task.build_all_requests(
                limit=None,
                samples=indices,
                apply_chat_template=self.chat,
                fewshot_as_multiturn=self.chat,
                chat_template=prompter.chat if self.chat else None,
                tokenizer_name=prompter.name,
            )
        except UserError:
            raise
        except Exception as error:  # whatever a row, or fewer examples than are asked for, leads to in a template
            reason = next(iter(str(error).strip().splitlines()), "no message")
            raise UserError(
                f"task {self.name}: its prompts with {self.shots} examples cannot be made "
                f"({type(error).__name__}: {reason[:160]}): correct its rows, or give fewer shots"
            ) from None
        self._ids = _distinct([document_id(self.name, _plain(doc)) for doc in self._documents()])
        instances = task.instances
        kinds = {instance.request_type for instance in instances}
        if kinds == {"loglikelihood"}:
            pairs = prompter.encode_options([instance.args for instance in instances])
            self.requests = [OptionRequest(context, option) for context, option in pairs]
            longest = max(self.requests, key=lambda request: len(request.tokens) + len(request.option))
            self.longest = (len(longest.tokens), len(longest.option))
        elif kinds == {"generate_until"}:
            tokens = prompter.encode([instance.args[0] for instance in instances])
            self.requests = [
                self._generation(ids, instance.args[1], prompter.end_text, drawing.seed, place)
                for place, (ids, instance) in enumerate(zip(tokens, instances, strict=True))
            ]
            longest = max(self.requests, key=lambda request: len(request.tokens) + request.max_new_tokens)
            self.longest = (len(longest.tokens), longest.max_new_tokens)
        else:
            raise UserError(f"task {self.name}: requests of kind {', '.join(sorted(kinds))} are not supported")
        self.first_prompt = str(instances[0].args[0])
        self.first_tokens = self.requests[0].tokens[:8]

    def require_metric(self, asked: str, metric: str, chosen: str) -> None:
        """Refuse a metric that the task does not compute.

        Raises:
            UserError: The message has the metrics of the task.
        """
        filters = [one.name for one in getattr(self.task, "_filters", [])] or ["none"]
        known = sorted(_full_name(name, one) for name in self.task.aggregation() for one in filters)
        if known and _full_name(metric, chosen) not in known:
            raise UserError(
                f"task {asked}: unknown metric {_full_name(metric, chosen)!r}; expected {', '.join(known)}"
                + (f" (its part {self.name})" if asked != self.name else "")
            )

    def grade(
        self, task_name: str, answers: Sequence[Generation] | Sequence[OptionScore], metric: str, chosen: str
    ) -> _Part:
        """Apply the task's filters and metrics."""
        task = self.task
        for instance, answer in zip(task.instances, answers, strict=True):
            if isinstance(answer, OptionScore):
                instance.resps = [(answer.logprob, answer.greedy)]
            elif isinstance(answer, Generation):
                instance.resps = [_without_thinking(answer.text, instance.args[1].get("until") or [])]
        task.apply_filters()
        by_document: dict[int, list[Any]] = defaultdict(list)
        for instance, answer, request in zip(task.instances, answers, self.requests, strict=True):
            by_document[instance.doc_id].append((instance, answer, request))
        values: dict[str, list[Any]] = defaultdict(list)
        aggregations: dict[str, Callable[[list[Any]], float]] = {}
        graded: list[float | None] = []
        for members in by_document.values():
            members.sort(key=lambda member: member[0].idx)
            instances = [member[0] for member in members]
            shown: float | None = None
            for key in instances[0].filtered_resps:
                found = task.process_results(instances[0].doc, [i.filtered_resps[key] for i in instances])
                for name, value in found.items():
                    full = _full_name(name, key)
                    values[full].append(value)
                    aggregations[full] = task.aggregation().get(name, _mean)
                    if name == metric and key == chosen and isinstance(value, (int, float, np.number)):
                        shown = float(value)
            graded.append(shown)
        rows = [
            self._row(task_name, identity, members, value)
            for identity, members, value in zip(self._ids, by_document.values(), graded, strict=True)
        ]
        truncated = sum(isinstance(answer, Generation) and answer.finish_reason == "length" for answer in answers)
        return _Part(dict(values), aggregations, self._ids, rows, truncated)

    def gold(self) -> list[int | None]:
        """Return the place of the right option of each row; None where it is not one place."""
        return [_gold_place(self.task, document) for document in self._documents()]

    def _documents(self) -> list[dict[str, Any]]:
        return list({instance.doc_id: instance.doc for instance in self.task.instances}.values())

    def _generation(
        self, tokens: tuple[int, ...], options: dict[str, Any], end: str, seed: int, place: int
    ) -> GenerateRequest:
        until = options.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        sampled = options.get("do_sample", True) and float(options.get("temperature") or 0.0) > 0
        asked = next((options[key] for key in ("max_gen_toks", "max_new_tokens", "max_tokens") if key in options), None)
        return GenerateRequest(
            tokens=tokens,
            max_new_tokens=int(self.max_new_tokens or asked or MAX_NEW_TOKENS),
            stop=tuple(dict.fromkeys([*stops, end] if end else stops)),
            temperature=float(options["temperature"]) if sampled else 0.0,
            top_p=float(options.get("top_p") or 1.0) if sampled else 1.0,
            seed=sample_seed(seed, f"{self.name}/{place}", 0),
        )

    def _row(self, task_name: str, identity: str, members: list[Any], value: float | None) -> RolloutRow:
        instance, answer, request = members[0]
        shared: dict[str, Any] = {
            "step": 0,
            "kind": "validation",
            "prompt_uid": f"{task_name}/{identity}",
            "prompt_id": identity,
            "sample": 0,
            "data_source": task_name,
            "domain": self.name if self.name != task_name else task_name,
            "rewarder": "lm-evaluation-harness",
            "prompt": str(instance.args[0]),
            "reward": value,
            "score_value": value,
            "correct": None if value is None else value >= 1.0,
            "outcome": "scored" if value is not None else "abstained",
            "reason": "" if value is None else "correct" if value >= 1.0 else "partial" if value > 0 else "wrong",
            "answer": _target(self.task, instance.doc),
        }
        if isinstance(answer, Generation):
            return RolloutRow(
                **shared,
                response=answer.text,
                extracted=str(next(iter(instance.filtered_resps.values()), "")),
                prompt_tokens=len(request.tokens),
                response_tokens=len(answer.token_ids),
                finish_reason=answer.finish_reason,
                truncated=answer.finish_reason == "length",
                generate_seconds=answer.seconds,
                token_ids=answer.token_ids,
            )
        best = max(members, key=lambda member: member[1].logprob)
        scores = {str(member[0].args[1]).strip(): round(member[1].logprob, 5) for member in members}
        return RolloutRow(
            **shared,
            response=str(best[0].args[1]).strip(),
            extracted=str(best[0].args[1]).strip(),
            finish_reason="stop",
            info=json.dumps({"option_logprobs": scores}, ensure_ascii=False),
        )


def _mean(values: list[Any]) -> float:
    return float(np.mean(values))


_mean.__name__ = "mean"


def _plain(document: Any) -> dict[str, Any]:
    return {
        key: value for key, value in dict(document).items() if isinstance(value, (str, int, float, list, type(None)))
    }


def _target(task: Any, document: Any) -> str:
    """Return the reference of a row as text."""
    target = task.doc_to_target(document)
    if isinstance(target, int) and task.config.doc_to_choice is not None:
        choices = task.doc_to_choice(document)
        return str(choices[target]) if 0 <= target < len(choices) else str(target)
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False, default=str)


def _gold_place(task: Any, document: Any) -> int | None:
    if task.OUTPUT_TYPE != "multiple_choice":
        return None
    target = task.doc_to_target(document)
    if isinstance(target, list) and len(target) == 1:
        target = target[0]
    if isinstance(target, str):
        choices = task.doc_to_choice(document)
        return choices.index(target) if target in choices else None
    return target if isinstance(target, int) else None


def _without_thinking(text: str, until: str | list[str]) -> str:
    """Return what the task grades: the text behind the thinking, up to the first stop text."""
    kept = text.rpartition("</think>")[2].lstrip() if "</think>" in text else text
    for stop in [until] if isinstance(until, str) else until:
        kept = kept.split(stop)[0] if stop else kept
    return kept
