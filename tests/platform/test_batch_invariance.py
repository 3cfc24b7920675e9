"""A request's log-probabilities do not depend on what else is in the batch, and stock torch and vLLM still need the help."""

import pytest
import torch
from fresh_process import last_json, run_python

from innovator_rl import platform
from innovator_rl.platform.row_sigmoid import sigmoid

ENGINE = """
import json, random
from vllm import LLM, SamplingParams
from innovator_rl.models import resolve

llm = LLM(str(resolve("tiny-qwen2-moe")), dtype="float32", enforce_eager=True, max_model_len=512, block_size=16)
engine, answered = llm.llm_engine, 0
prompts = [[(7 * place + 131 * (number // 4)) % 200 + 20 for place in range(126 + number // 4)] for number in range(24)]

def answers(arrivals):
    global answered
    answered, step, found, waiting = answered + 1, 0, {}, list(arrivals)
    engine.reset_prefix_cache()
    while waiting or engine.has_unfinished_requests():
        while waiting and waiting[0][0] <= step:
            number = waiting.pop(0)[1]
            asked = SamplingParams(max_tokens=16, ignore_eos=True, seed=number, logprobs=0)
            engine.add_request(f"{answered}-{number}", {"prompt_token_ids": prompts[number]}, asked)
        for request in engine.step():
            if request.finished:
                out = request.outputs[0]
                found[request.request_id.split("-")[1]] = [
                    (token, logprobs[token].logprob) for token, logprobs in zip(out.token_ids, out.logprobs)
                ]
        step += 1
    return found

together = answers([(0, number) for number in range(24)])
differing = 0
for seed in range(4):
    draw = random.Random(seed)
    apart = answers(sorted((draw.randrange(12), number) for number in draw.sample(range(24), 24)))
    differing += sum(apart[name] != together[name] for name in together)
print(json.dumps([len(together), differing]))
"""


def asked_and_differing(**variables: str) -> list[int]:
    """Return how many requests were asked, and how many answers differ in four runs in which they arrive apart."""
    environment = {**platform.environment(threads=2, kv_cache_gb=1), "HF_HUB_OFFLINE": "1", **variables}
    counts = last_json(run_python(ENGINE, **environment))
    assert isinstance(counts, list)
    return counts


def test_torch_still_rounds_a_sigmoid_by_its_place() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([torch.sigmoid(value[None]) for value in values])
    assert not torch.equal(torch.sigmoid(values), alone), (
        "torch.sigmoid rounds alike everywhere now: delete platform/row_sigmoid.py"
    )


@pytest.mark.parametrize("scale", [1.0, 30.0, 200.0])
def test_the_sigmoid_of_a_row_does_not_depend_on_the_others(scale: float) -> None:
    values = scale * torch.randn(1003, generator=torch.Generator().manual_seed(1))
    together = sigmoid(values)
    for size in (1, 3, 8, 17):
        assert torch.equal(together, torch.cat([sigmoid(part) for part in torch.split(values, size)]))
    exact = torch.sigmoid(values.double())
    assert torch.allclose(together.double(), exact, rtol=1e-5, atol=1e-37)


def test_vllm_gets_the_sigmoid_and_keeps_the_other_functions() -> None:
    program = """
from innovator_rl.platform.vllm_plugin import register
register(); register()
from vllm.model_executor.models import qwen2_moe
from torch.nn import functional
print(qwen2_moe.F.sigmoid.__module__, qwen2_moe.F.linear is functional.linear, functional.sigmoid.__module__)
"""
    out = run_python(program, INNOVATOR_PLATFORM="cpu").splitlines()[-1]
    assert out == "innovator_rl.platform.row_sigmoid True torch.nn.functional"


@pytest.mark.slow
def test_log_probabilities_do_not_depend_on_what_arrives_when() -> None:
    assert asked_and_differing() == [24, 0]


@pytest.mark.slow
def test_attention_that_is_split_still_rounds_by_the_batch() -> None:
    asked, differing = asked_and_differing(VLLM_CPU_ATTN_SPLIT_KV="1")
    assert asked == 24
    assert differing > 0, "vLLM's attention rounds alike in every batch now: delete VLLM_CPU_ATTN_SPLIT_KV"
