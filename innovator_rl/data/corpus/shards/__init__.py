"""Token shards of a corpus, and the order in which training reads them."""

from innovator_rl.data.corpus.shards.permutation import Permutation
from innovator_rl.data.corpus.shards.reader import TokenCorpus, WindowReader, token_set

__all__ = ["Permutation", "TokenCorpus", "WindowReader", "token_set"]
