"""The trainer lends its rollout engine to validation suites, and outlives their failures."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from memory_engine import MemoryTrainer, NotingObserver

from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.engine_requests import TokenSource


class Client:
    """Stands for verl's client of the rollout engine: repeats the prompt."""

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        return SimpleNamespace(token_ids=prompt_ids * sampling_params.pop("max_tokens"))


def test_suites_ask_the_engine_and_their_failure_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), lambda prompt: [1.0, 0.0], monkeypatch)
    monkeypatch.setattr(trainer, "get_llm_client", Client)
    assert trainer._ask_suites() == {}

    def ask(step: int, engine: TokenSource) -> dict[str, float]:
        parameters = {"max_tokens": 2}
        assert engine([([5], parameters), ([6], parameters)]) == [[5, 5], [6, 6]]
        return {"suite/own/task/acc": 0.5 + step}

    trainer.suites = ask
    assert trainer._ask_suites() == {"suite/own/task/acc": 0.5}

    def fail(step: int, engine: TokenSource) -> dict[str, float]:
        raise UserError("svamp.jsonl cannot be read")

    trainer.suites = fail
    assert trainer._ask_suites() == {}
    assert trainer.noted.notices == ["the validation suites brought nothing at step 0: svamp.jsonl cannot be read"]
