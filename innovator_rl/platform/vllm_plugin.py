"""Loaded by vLLM in each of its processes (entry-point group `vllm.general_plugins`), before any model is built.

On a CPU it keeps packed weights loadable (`packed_weights`); on any other platform it does nothing. An exception here
stops the engine with its traceback, which is right: without the correction the first weight sync fails, or scrambles
the experts.
"""


def register() -> None:
    """vLLM's hook. It may be called more than once in a process."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from innovator_rl.platform import packed_weights

        packed_weights.install()
