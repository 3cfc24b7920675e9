"""Run verl's trainer inside a connected Ray.

`innovator_rl.training` reaches verl through this module alone.

Importing this module imports verl, which reads environment variables at import; `innovator_rl.training.launch` sets
those first.
"""

from __future__ import annotations

from typing import Any

import transfer_queue as tq
from omegaconf import DictConfig
from verl.trainer.constants_ppo import get_ppo_ray_runtime_env
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from innovator_rl.integrations.verl.agent_loop import RecordingAgentLoopManager
from innovator_rl.integrations.verl.trainer import InnovatorTrainer, Observer, SuiteRunner


def validate(verl_config: DictConfig) -> None:
    """Let verl check its own configuration.

    Raises:
        ValueError, AssertionError: verl's own complaint.
    """
    validate_config(
        verl_config, use_reference_policy=need_reference_policy(verl_config), use_critic=need_critic(verl_config)
    )


def worker_runtime_env(environment: dict[str, str]) -> dict[str, Any]:
    """Return the runtime environment of workers: verl's with `environment` over it."""
    runtime_env = get_ppo_ray_runtime_env()
    runtime_env["env_vars"] = {**runtime_env.get("env_vars", {}), "TRANSFER_QUEUE_ENABLE": "1", **environment}
    return dict(runtime_env)


def train(verl_config: DictConfig, observer: Observer, suites: SuiteRunner | None = None) -> None:
    """Train to the last step; Ray must be connected.

    Args:
        verl_config: what `compose.to_verl` made of the run.
        observer: receives phases, metrics and groups, and may request a stop.
        suites: evaluates validation suites at every validation.

    Raises:
        StopRequested: the observer requested a stop; a checkpoint was written.
        NoLearningSignal: no group of a step had a difference.
    """
    tq.init(verl_config.transfer_queue)
    try:
        observer.phase("starting: training workers and vLLM", 0)
        trainer = InnovatorTrainer(verl_config, observer, suites)
        with trainer.watchdog:
            trainer.watchdog.enter("starting")
            trainer.init()
            observer.phase("starting: generation workers", trainer.global_steps)
            manager = RecordingAgentLoopManager.create(
                config=verl_config,
                llm_client=trainer.get_llm_client(),
                teacher_client=None,
                reward_loop_worker_handles=trainer.get_reward_handles(),
            )
            try:
                trainer.fit(manager)
            finally:
                trainer.watchdog.enter("")
                manager.flush()
    finally:
        tq.close()
