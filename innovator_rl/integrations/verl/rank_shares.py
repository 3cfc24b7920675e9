"""Share out whole prompt groups over the ranks that train, so that each rank computes a prompt once.

verl balances single responses by length, which spreads a group over all ranks: every one of them then computes the prompt of
nearly every group. Where an engine shares prompts (shared_prefix.py, on a CPU), whole groups are balanced instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions

from innovator_rl.integrations.verl.sample_key import group_uid, prompt_order


def whole_group_ranks(keys: Sequence[str], tokens: Sequence[int], ranks: int) -> list[int] | None:
    """Return the rank of each sample such that no group is split and ranks have about the same number of tokens.

    Args:
        keys: keys of B samples.
        tokens: their lengths, prompt included.
        ranks: number of ranks, each of which gets B / ranks samples.

    Returns:
        B ranks; None where groups differ in size or do not divide over the ranks.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for i in sorted(range(len(keys)), key=lambda i: prompt_order(keys[i])):
        groups[group_uid(keys[i])].append(i)
    if len(groups) % ranks or len({len(members) for members in groups.values()}) != 1:
        return None
    totals = [sum(tokens[i] for i in members) for members in groups.values()]
    found = [0] * len(keys)
    for rank, part in enumerate(get_seqlen_balanced_partitions(totals, ranks, equal_size=True)):
        for number in part:
            for i in list(groups.values())[number]:
                found[i] = rank
    return found
