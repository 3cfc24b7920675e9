"""Record what an update computed for every token, in the process that trains.

The new log-probabilities exist in the training worker alone, and verl discards them after the loss. A row per response has
the advantage, the old and rollout log-probabilities, the ratio of new to old probability, the side on which it left the
clip range, and the entropy where it was computed; of groups outside `logging.token_share`, the advantage alone. The run
directory, the attempt and the share come through the environment (`INNOVATOR_RUN_DIR`, `INNOVATOR_ATTEMPT`,
`INNOVATOR_TOKEN_SHARE`).
"""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from tensordict import TensorDict

from innovator_rl.rollouts.recorder import Recorder, keeps_tokens
from innovator_rl.rollouts.schema import UpdateRow

log = logging.getLogger(__name__)


def clip_side(ratio: torch.Tensor, advantage: torch.Tensor, low: float, high: float, dual: float) -> torch.Tensor:
    """Find on which side PPO clips each token (Schulman 2017, equation 7.

    Dual clip: Ye 2020).

    A clip acts only in the advantage's direction: above for a positive one, below for a negative one, and for a negative
    one also above the dual-clip bound. The tensors broadcast.

    Args:
        ratio: new over old probability of each token.
        advantage: advantage of each token.
        low: a ratio below 1 - low is clipped.
        high: a ratio above 1 + high is clipped.
        dual: a ratio above it is clipped where the advantage is negative.

    Returns:
        Integers: -1 where the lower bound clips, +1 where an upper one does, 0 where the gradient flows.
    """
    above = ((advantage > 0) & (ratio > 1 + high)) | ((advantage < 0) & (ratio > dual))
    below = (advantage < 0) & (ratio < 1 - low)
    return above.long() - below.long()


class UpdateRecord:
    """Writer of `updates/` rows from micro-batches."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._failed = False

    @classmethod
    def from_environment(cls, rank: int) -> UpdateRecord | None:
        """Open the record of the run that this process belongs to.

        Return None outside a run.
        """
        folder = os.environ.get("INNOVATOR_RUN_DIR")
        if not folder:
            return None
        attempt, share = (os.environ.get(f"INNOVATOR_{name}", "1") for name in ("ATTEMPT", "TOKEN_SHARE"))
        return cls(Recorder(folder, writer=f"update-{rank}", attempt=int(attempt), token_share=float(share)))

    def add(self, micro_batch: TensorDict, outputs: dict[str, torch.Tensor], config: Any) -> None:
        """Record one micro-batch after its forward pass.

        Args:
            micro_batch: verl's micro-batch of B sequences.
            outputs: nested (B, prompt + response) `log_probs`, and `entropy` where it was computed.
            config: verl's actor configuration, with the clip range.
        """
        try:
            for row in rows(micro_batch, outputs, config, self._recorder.token_share):
                self._recorder.update(row)
        except Exception as error:  # a record must not end a training step
            if not self._failed:
                self._failed = True
                log.warning("updates/ is not written: %s: %s", type(error).__name__, error)


def rows(
    micro_batch: TensorDict, outputs: dict[str, torch.Tensor], config: Any, token_share: float = 1.0
) -> list[UpdateRow]:
    """Return the rows of a micro-batch; padding rows are left out.

    Args:
        micro_batch: verl's batch of B sequences, with nested `responses` and `response_mask`.
        outputs: Series of the forward pass, nested (B, prompt + response).
        config: verl's actor configuration, for the clip ratios.
        token_share: Share of groups whose series are recorded.
    """
    uids, samples, steps = (list(micro_batch[name]) for name in ("uid", "session_id", "global_steps"))
    low, high, dual = (float(getattr(config, name)) for name in ("clip_ratio_low", "clip_ratio_high", "clip_ratio_c"))
    found = []
    for i, response in enumerate(micro_batch["responses"].unbind()):
        size = int(response.numel())
        mask = micro_batch["response_mask"].unbind()[i].bool().cpu()
        if not int(mask.sum()):
            continue

        def field(name: str, i: int = i) -> torch.Tensor | None:
            return micro_batch[name].unbind()[i].detach().float().cpu() if name in micro_batch else None

        def tail(name: str, i: int = i, size: int = size) -> torch.Tensor | None:
            # verl stores at position t the value of token t + 1
            return outputs[name].unbind()[i][-size - 1 : -1].detach().float().cpu() if name in outputs else None

        key = {
            "step": int(_plain(steps[i])),
            "prompt_uid": str(_plain(uids[i])),
            "sample": int(_plain(samples[i])),
        }
        advantage = field("advantages")
        assert advantage is not None
        if not keeps_tokens(key["prompt_uid"], token_share):
            found.append(UpdateRow(**key, kept=True, advantage=float(advantage[0])))
            continue
        new, old = tail("log_probs"), field("old_log_probs")
        assert new is not None
        assert old is not None
        ratio = torch.exp(new - old).where(mask, 1.0)  # a tool's text has no policy
        entropy, rollout = tail("entropy"), field("rollout_log_probs")
        found.append(
            UpdateRow(
                **key,
                kept=True,
                advantage=float(advantage[0]),
                old_logprobs=old.tolist(),
                rollout_logprobs=rollout.tolist() if rollout is not None else None,
                entropy=entropy.tolist() if entropy is not None else None,
                ratio=ratio.tolist(),
                clip_side=clip_side(ratio, advantage, low, high, dual).tolist(),
            )
        )
    return found


def _plain(value: Any) -> Any:
    value = getattr(value, "data", value) if not isinstance(value, torch.Tensor) else value
    return value.item() if hasattr(value, "item") else value
