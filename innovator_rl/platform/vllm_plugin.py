"""Correct vLLM's CPU engine in each of its processes, before any model is built.

vLLM loads this module through the entry-point group `vllm.general_plugins`. On a CPU it keeps packed weights loadable
(`packed_weights`), draws tokens with one random number each (`token_draws`) and rounds shared experts' gates alike in every
batch (`row_sigmoid`); on any other platform it does nothing. An exception here stops the engine with its traceback, as it
should: without the first correction the first weight sync fails, or scrambles the experts.
"""


def register() -> None:
    """Install the corrections; vLLM may call this more than once in a process."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from innovator_rl.platform import packed_weights, row_sigmoid, token_draws

        packed_weights.install()
        token_draws.install()
        row_sigmoid.install()
