"""The platform plugin: light until verl is imported, never silent about a failure, and out of the way of an accelerator."""

import pytest
from fresh_process import last_json, run_python

from innovator_rl.errors import UserError
from innovator_rl.platform import accelerator, environment
from innovator_rl.platform.import_hooks import after_import


def test_importing_the_package_loads_neither_verl_nor_torch() -> None:
    program = "import sys, innovator_rl.platform as p; p.status(); print('torch' in sys.modules, 'verl' in sys.modules)"
    assert run_python(program).split() == ["False", "False"]


@pytest.mark.parametrize(
    "order", ["import verl, innovator_rl.platform as p", "import innovator_rl.platform as p, verl"]
)
def test_the_platform_is_set_up_whichever_is_imported_first(order: str) -> None:
    """The same process lists what verl calls on `torch.cuda`: a newer verl that calls one more fails here and not in a run."""
    program = f"""{order}
import json, pathlib, re
from innovator_rl.platform import cpu_device
from verl.utils.device import get_device_name, get_resource_name, is_support_ipc
found = p.status()
called = set()
for path in pathlib.Path(verl.__file__).parent.rglob("*.py"):
    called |= set(re.findall(r"get_torch_device\\(\\)\\.(\\w+)", path.read_text()))
lacking = sorted(name for name in called if not hasattr(cpu_device, name))
known = [p.ACTIVE, found.name, [s.name for s in found.shims]]
print(json.dumps([*known, get_device_name(), get_resource_name(), is_support_ipc(), lacking, len(called) > 10]))
"""
    found = last_json(run_python(program, INNOVATOR_PLATFORM="cpu"))

    assert found[0] is True
    assert found[1] == "cpu"
    assert "register_fsdp_engine_cpu" in found[2]
    assert found[3:] == ["cpu", "GPU", False, [], True]


def test_with_an_accelerator_only_the_shims_that_hold_there_are_applied() -> None:
    program = """import verl, json, innovator_rl.platform as p
from verl.plugin.platform import PlatformRegistry
print(json.dumps([p.status().name, [s.name for s in p.status().shims], PlatformRegistry.get("cpu") is None, p.environment(2, 1)]))
"""
    found = last_json(run_python(program, INNOVATOR_PLATFORM="cuda"))
    assert found == ["cuda", ["weight_sync_timeout", "qwen2_moe_flops"], True, {}]


def test_a_failure_to_load_is_reported_and_not_lost() -> None:
    program = """from innovator_rl.platform import require_loaded, status
try:
    require_loaded()
except ValueError as error:
    print(error)
print(status().active)
"""
    out = run_python(program, INNOVATOR_PLATFORM="gpu")
    assert "INNOVATOR_PLATFORM=gpu" in out
    assert out.strip().endswith("False")


def test_switched_off_plugins_are_reported() -> None:
    program = """from innovator_rl.platform import require_loaded
try:
    require_loaded()
except ValueError as error:
    print(error)
"""
    assert "VERL_USE_EXTERNAL_PLUGINS=none" in run_python(program, VERL_USE_EXTERNAL_PLUGINS="none")


def test_the_environment_chooses_before_the_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    monkeypatch.setenv("INNOVATOR_PLATFORM", "cpu")
    assert accelerator.detect()[0] == "cpu"
    monkeypatch.delenv("INNOVATOR_PLATFORM")
    assert accelerator.detect()[0] == "cuda"


def test_a_platform_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNOVATOR_PLATFORM", "tpu")
    with pytest.raises(UserError, match="INNOVATOR_PLATFORM=tpu"):
        accelerator.detect()


def test_workers_get_threads_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNOVATOR_PLATFORM", "cpu")
    found = environment(threads=3, kv_cache_gb=2)
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert found["VERL_PLATFORM"] == "cpu"


def test_a_callback_runs_once_after_the_import(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_module_of_this_test.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[int] = []
    after_import("late_module_of_this_test", lambda module: seen.append(module.value))
    assert seen == []

    import late_module_of_this_test

    assert seen == [1]
    after_import("late_module_of_this_test", lambda module: seen.append(2))
    assert seen == [1, 2]
    assert late_module_of_this_test.value == 1
