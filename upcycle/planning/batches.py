"""Divide a stage's batch into slices and steps; the trainer and the plan share this, so both refuse the same settings."""

from innovator_rl.errors import UserError
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import StageConfig


def batch_sizes(config: UpcycleConfig, stage: StageConfig, ranks: int) -> tuple[int, int, int]:
    """Return the sequences of a batch and of a slice, and the steps of a stage.

    Raises:
        UserError: If a rank would have no sequence of some slice.
    """
    length = config.data.sequence_length
    batch = stage.batch_tokens // length
    micro = min(batch, config.trainer.micro_batch_tokens // length) or batch
    smallest = (batch % micro or micro) if batch else 0
    if smallest < ranks:
        raise UserError(
            f"batch_tokens = {stage.batch_tokens} in slices of trainer.micro_batch_tokens = "
            f"{config.trainer.micro_batch_tokens} leaves a slice of {smallest} sequences of {length} tokens "
            f"for {ranks} ranks; both must be multiples of {ranks * length}"
        )
    return batch, micro, max(1, round(stage.tokens / (batch * length)))


def local_sequences(config: UpcycleConfig, stage: StageConfig, ranks: int) -> int:
    """Return the sequences of the largest slice on the rank that gets the most."""
    length = config.data.sequence_length
    batch = max(1, stage.batch_tokens // length)
    micro = min(batch, config.trainer.micro_batch_tokens // length) or batch
    return -(-micro // ranks)


def even_micro_batches(config: UpcycleConfig, stage: StageConfig, ranks: int) -> list[int]:
    """Return every `trainer.micro_batch_tokens` that gives all ranks equal slices, largest first; none if there is none."""
    length = config.data.sequence_length
    each, rest = divmod(stage.batch_tokens // length, ranks)
    if rest or not each:
        return []
    return [count * ranks * length for count in range(each, 0, -1) if each % count == 0]
