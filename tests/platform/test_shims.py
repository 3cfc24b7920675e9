"""Each shim is still needed, and still fits. A failure of a "still needed" test means: the installed version is right, delete the shim.

"Still needed" is stock behavior, seen in a process whose verl loads no plugin; "fits" is the same question with the shim in force.
"""

import functools

import pytest
from fresh_process import run_each, run_python

from innovator_rl.platform.shims import ALL
from innovator_rl.platform.shims.base import ShimMisfit, require_parameters

pytestmark = pytest.mark.xdist_group("platform")

STOCK = {"VERL_USE_EXTERNAL_PLUGINS": "none", "VERL_PLATFORM": "cpu"}
PLATFORM_ONLY = "import verl, innovator_rl.platform.cpu\n"
"""Registers the CPU platform and applies no shim."""

BACKEND = """
import os, socket, torch
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK="0", WORLD_SIZE="1")
from verl.utils.distributed import initialize_global_process_group_ray
try:
    initialize_global_process_group_ray()
    print("backend", torch.distributed.get_backend(), flush=True)
except Exception as error:
    print("refused", error, flush=True)
os._exit(0)  # what is asked is answered; a process group that was never joined can keep an interpreter from ending
"""

ENGINES = """
import warnings; warnings.simplefilter("ignore")
import innovator_rl.platform.shims.vllm_distribution_name as name; name.apply()
from verl.workers.engine import EngineRegistry
for model_type in ("language_model", "value_model"):
    for backend in ("fsdp", "fsdp2"):
        try:
            print("engine", EngineRegistry.get_engine_cls(model_type, backend).__name__)
        except ValueError as error:
            print("none:", error)
"""

VERSION = """
from importlib.metadata import PackageNotFoundError, distributions, version
try:
    print("version", version("vllm"))
except PackageNotFoundError:
    print("no vllm")
print("listed", sum(d.name == "vllm" for d in distributions()))
"""


COUNTER = """
from verl.utils import flops_counter
from innovator_rl.platform.shims.qwen2_moe_flops import counts_shared_experts
print("counted", counts_shared_experts(flops_counter.ESTIMATE_FUNC["qwen2_moe"]))
"""

PROGRAMS = {"version": VERSION, "counter": COUNTER, "backend": BACKEND}


@functools.cache
def stock() -> dict[str, str]:
    """What each program prints with stock verl."""
    return run_each(PLATFORM_ONLY, PROGRAMS, **STOCK)


@functools.cache
def with_shims() -> dict[str, str]:
    """What each program prints with the shims in force."""
    return run_each("import verl\n", PROGRAMS, INNOVATOR_PLATFORM="cpu")


def test_torch_still_refuses_verls_backend_string() -> None:
    out = stock()["backend"]
    assert "refused" in out, "verl's backend string works on a CPU now: delete shims/duplicate_gloo_backend.py"


def test_the_process_group_starts_with_the_shim() -> None:
    out = with_shims()["backend"]
    assert "backend" in out
    assert "gloo" in out


@pytest.mark.slow
def test_verl_still_registers_no_fsdp_engine_for_a_cpu() -> None:
    out = run_python(PLATFORM_ONLY + ENGINES, **STOCK)
    assert out.count("none:") == 4, "verl registers FSDP for a CPU now: delete shims/register_fsdp_engine_cpu.py"


@pytest.mark.slow
def test_the_fsdp_engines_are_found_with_the_shim() -> None:
    out = run_python("import verl\n" + ENGINES, INNOVATOR_PLATFORM="cpu")
    assert out.count("engine FSDPEngineWith") == 4


def test_the_cpu_build_still_has_another_name() -> None:
    out = stock()["version"]
    assert "no vllm" in out, "the CPU build answers to the name vllm now: delete shims/vllm_distribution_name.py"


def test_the_version_keeps_its_suffix_and_the_listing_is_unchanged() -> None:
    out = with_shims()["version"]
    assert "+cpu" in out
    assert "listed 0" in out


def test_verl_still_leaves_the_shared_experts_out() -> None:
    assert "counted False" in stock()["counter"], "verl counts shared experts now: delete shims/qwen2_moe_flops.py"


def test_the_platform_applies_the_count() -> None:
    assert "counted True" in with_shims()["counter"]


@pytest.mark.slow
def test_verl_and_vllm_accept_the_version() -> None:
    program = """import verl
import verl.third_party.vllm as third_party
from verl.utils.vllm.vllm_quant_utils import _get_vllm_version
from vllm.platforms import current_platform
print(third_party.vllm_version, _get_vllm_version(), current_platform.is_cpu())
"""
    found = run_python(program, INNOVATOR_PLATFORM="cpu").splitlines()[-1].split()
    assert found[0] == found[1]
    assert found[0].endswith("+cpu")
    assert found[2] == "True"


def test_every_shim_says_what_it_works_around_and_where_it_was_seen() -> None:
    assert len({shim.name for shim in ALL}) == len(ALL)
    for shim in ALL:
        assert shim.apply.__module__.endswith(shim.name)
        assert shim.works_around
        assert "0." in shim.seen_in


def test_a_function_with_other_parameters_is_not_replaced() -> None:
    def changed(backend: str, timeout: int) -> None:
        """As a newer version might have it."""

    with pytest.raises(ShimMisfit, match="expected"):
        require_parameters("duplicate_gloo_backend", changed, ("timeout_second", "backend"))
