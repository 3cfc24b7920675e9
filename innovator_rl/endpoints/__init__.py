"""Ask language models behind OpenAI-compatible endpoints, with every request limited, cached and accounted for.

Graders, annotators and data generators share this client. An endpoint is vLLM on this machine or any service that
speaks the chat-completions protocol.

    config = EndpointConfig(url="http://127.0.0.1:8000/v1", model="smollm2", max_tokens_total=200_000)
    async with EndpointClient(config, cache=Path("replies.sqlite")) as client:
        reply = await client.complete(ChatRequest.ask("What is 2 + 2?", max_tokens=16, seed=0))
        print(reply.text if reply.ok else reply.reason)

`complete` raises for no fault of the endpoint: a reply that failed has a `reason` (`REASONS`) and a `detail`. A request
that was answered before, by the same model with the same parameters, seed and attempt, is read from the cache and costs
nothing, so work that was killed goes on where it stopped. `map_bounded` works through any number of items with a fixed
number in flight.
"""

from innovator_rl.endpoints.cache import ReplyCache
from innovator_rl.endpoints.client import EndpointClient
from innovator_rl.endpoints.concurrency import map_bounded
from innovator_rl.endpoints.config import EndpointConfig
from innovator_rl.endpoints.limits import Budget, TokenBucket
from innovator_rl.endpoints.messages import REASONS, ChatReply, ChatRequest

__all__ = [
    "REASONS",
    "Budget",
    "ChatReply",
    "ChatRequest",
    "EndpointClient",
    "EndpointConfig",
    "ReplyCache",
    "TokenBucket",
    "map_bounded",
]
