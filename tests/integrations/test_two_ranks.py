"""Two training ranks compute the gradient of one: uneven micro-batches, dense and mixture of experts, every aggregation."""

import multiprocessing
from pathlib import Path

import torch
from test_training_engine import MODELS, batch, distance, reference, settings
from transformers import AutoModelForCausalLM

from innovator_rl.integrations.verl.standalone_engine import (
    gradients,
    ppo_batch,
    process_group,
    training_engine,
    verl_config,
)
from innovator_rl.models.byte_tokenizer import byte_tokenizer

RANKS = 2
MODES = ("token-mean", "seq-mean-token-mean", "seq-mean-token-sum-norm")


def one_rank(rank: int, folder: Path) -> None:
    """Compute the gradients of every model and aggregation, as one of the ranks; rank 0 keeps them."""
    torch.set_num_threads(1)
    with process_group(rank, RANKS, folder / "store"):
        # Groups are scattered over the ranks, and micro-batches differ in tokens, from rank to rank too.
        columns = [column[rank::RANKS] for column in batch()]
        for name in MODELS:
            engine = training_engine(verl_config(str(folder / name), settings(MODES[0])))
            for mode in MODES:  # which concerns the loss alone
                config = verl_config(str(folder / name), settings(mode))
                found = gradients(engine, ppo_batch(*columns, 4), config)
                if rank == 0:
                    torch.save(found, folder / f"{name}-{mode}.pt")


def test_two_ranks_compute_the_gradient_of_one(tmp_path: Path) -> None:
    for name, config in MODELS.items():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / name)
        byte_tokenizer().save_pretrained(tmp_path / name)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["innovator_rl.integrations.verl.standalone_engine"])  # the imports of both, once
    ranks = [context.Process(target=one_rank, args=(rank, tmp_path)) for rank in range(RANKS)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)
        process.kill()
    assert [process.exitcode for process in ranks] == [0] * RANKS
    for name in MODELS:
        for mode in MODES:
            found = torch.load(tmp_path / f"{name}-{mode}.pt", weights_only=True)
            assert distance(found, reference(tmp_path / name, mode)) < 2e-6, (name, mode)
