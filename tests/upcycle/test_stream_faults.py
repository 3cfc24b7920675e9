"""Streaming keeps its promises when inputs are bad, the disk is small and the process dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from base_models import make_base_model, make_experts, spec_of

from innovator_rl.errors import StorageError, UserError
from upcycle.checkpoint import convert, sharded_writer
from upcycle.checkpoint.readers import EXPERT, BaseModelSource, base_model_fingerprint
from upcycle.checkpoint.sharded_writer import INDEX, JOURNAL, checksum, file_checksum, plan_shards, round_trip, write
from upcycle.checkpoint.tensor_source import Entry, SafetensorsFolder, SyntheticSource, TensorSource
from upcycle.config.schema import UpcycleConfig, validate
from upcycle.model.architecture import tensor_shapes

SHARD_BYTES = 20_000
ROOT = Path(__file__).parents[2]


def quiet(_line: str) -> None:
    pass


SHAPES = {f"t{i}": (50, 64) for i in range(12)}


def small() -> SyntheticSource:
    return SyntheticSource(SHAPES, "BF16", pool=1009)


def config_for(base_model: Path, **settings: Any) -> UpcycleConfig:
    mixture = {"split": 4, "top_k": 2, **settings}
    return validate(
        {"base_model": str(base_model), "disciplines": {"physics": None, "biology": None}, "mixture": mixture}
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model in several files, and its experts."""
    tmp_path = tmp_path_factory.mktemp("template")
    base_model = make_base_model(tmp_path / "base_model")
    spec = spec_of(base_model)
    make_experts(tmp_path / "experts", base_model, spec)
    whole = SafetensorsFolder(base_model)
    write(whole, tmp_path / "cut", SHARD_BYTES, "x", quiet)
    (base_model / "model.safetensors").unlink()
    for file in (tmp_path / "cut").glob("model*"):
        shutil.move(file, base_model / file.name)
    fingerprint = convert.base_model_fingerprint(base_model)
    for name in spec.disciplines:
        facts = json.loads((tmp_path / "experts" / name / EXPERT).read_text())
        (tmp_path / "experts" / name / EXPERT).write_text(json.dumps({**facts, "base_model": fingerprint}))
    return tmp_path


@pytest.fixture
def ready(template: Path, tmp_path: Path) -> tuple[UpcycleConfig, Path, Path]:
    """A configuration, a base model and its experts, to be damaged."""
    for name in ("base_model", "experts"):
        shutil.copytree(template / name, tmp_path / name)
    return config_for(tmp_path / "base_model"), tmp_path / "base_model", tmp_path / "experts"


def split(ready: tuple[UpcycleConfig, Path, Path], out: Path) -> Path:
    config, base_model, experts = ready
    return convert.split(config, base_config_of(base_model), base_model, experts, out, quiet)


def base_config_of(base_model: Path) -> dict[str, Any]:
    return json.loads((base_model / "config.json").read_text())  # type: ignore[no-any-return]


def test_a_base_model_in_many_files_splits(ready: Any, tmp_path: Path) -> None:
    out = split(ready, tmp_path / "split")
    assert {name: e.shape for name, e in SafetensorsFolder(out).entries.items()} == dict(
        tensor_shapes(spec_of(ready[1]))
    )
    assert not (out / JOURNAL).exists()
    assert not list(out.glob("*.partial"))


def test_a_source_whose_bytes_are_not_of_its_type_is_never_written(tmp_path: Path) -> None:
    source = small()
    source.entries["t3"] = Entry("F32", (50, 64))
    with pytest.raises(ValueError, match=r"t3 has 6400 bytes, expected 12800 \(F32\)"):
        write(source, tmp_path / "out", SHARD_BYTES, "x", quiet)
    assert [file.name for file in (tmp_path / "out").glob("*.safetensors")] == ["model-00001-of-00005.safetensors"]
    with pytest.raises(ValueError, match="t3 has"):
        checksum(source, SHARD_BYTES, quiet)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _garbage(file: Path) -> None:
    file.write_bytes(b"\xff" * 64 + file.read_bytes()[64:])


def _html(file: Path) -> None:
    file.write_text("<html>404</html>")


def _longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0" * 8)


def _empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _garbage, _html, _longer, _empty, Path.unlink])
@pytest.mark.parametrize("where", ["base model", "expert"])
def test_a_damaged_file_is_named_and_nothing_is_left(ready: Any, tmp_path: Path, damage: Any, where: str) -> None:
    file = (
        ready[1] / "model-00002-of-00005.safetensors"
        if where == "base model"
        else ready[2] / "biology/model.safetensors"
    )
    assert file.is_file(), sorted(ready[1].iterdir())
    damage(file)
    with pytest.raises(UserError, match=file.name if where == "base model" else "biology") as caught:
        split(ready, tmp_path / "split")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "split").exists()


def test_an_index_that_lies_is_named(ready: Any, tmp_path: Path) -> None:
    index = json.loads((ready[1] / INDEX).read_text())
    index["weight_map"]["model.layers.9.mlp.up_proj.weight"] = "model-00001-of-00005.safetensors"
    (ready[1] / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"model-00001-of-00005.safetensors: lacks model.layers.9"):
        split(ready, tmp_path / "split")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_type", "gpt2", "model_type = 'gpt2'"),
        ("model_type", "qwen2_moe", "model_type = 'qwen2_moe'"),
        ("hidden_act", "gelu", "hidden_act = 'gelu'"),
        ("intermediate_size", 52, "has shape"),
        ("intermediate_size", 50, "mixture.split = 4"),
        ("num_hidden_layers", 3, "lacks the tensor model.layers.2"),
        ("head_dim", 16, "head_dim = 16"),
        ("attention_bias", True, "attention_bias = True"),
        ("hidden_size", None, "lacks hidden_size"),
    ],
)
def test_a_base_model_of_another_shape_is_refused(
    ready: Any, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    config, base_model, experts = ready
    with pytest.raises(UserError, match=message):
        convert.split(
            config, {**base_config_of(base_model), key: value}, base_model, experts, tmp_path / "split", quiet
        )
    assert not (tmp_path / "split").exists()


@pytest.mark.parametrize(
    ("where", "tensor"), [("base model", "lm_head.weight"), ("biology", "layers.1.mlp.expert.up_proj")]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_named(
    ready: Any, tmp_path: Path, where: str, tensor: str, value: float
) -> None:
    from safetensors.torch import load_file, save_file

    folder = ready[1] if where == "base model" else ready[2] / where
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        for name in tensors:
            if tensor in name:
                tensors[name].view(-1)[-1] = value
        save_file(tensors, file, {"format": "pt"})
    for identity in ready[2].glob("*/expert.json"):  # trained on the base model as it is
        facts = json.loads(identity.read_text()) | {"base_model": base_model_fingerprint(ready[1])}
        identity.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=f"{where}.*{tensor}.* NaN or infinite"):
        split(ready, tmp_path / "split")
    assert not (tmp_path / "split").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, base_model, experts: shutil.rmtree(experts / "physics"), "physics"),
        (
            lambda config, base_model, experts: (base_model / "tokenizer.json").write_text('{"other": 1}'),
            "base_model = ",
        ),
        (lambda config, base_model, experts: (experts / "physics" / EXPERT).write_text("{"), "cannot be read as JSON"),
        (
            lambda config, base_model, experts: shutil.copytree(
                experts / "physics", experts / "biology", dirs_exist_ok=True
            ),
            "biology",
        ),
    ],
    ids=["missing", "other tokenizer", "not JSON", "another discipline's"],
)
def test_experts_that_do_not_belong_are_refused(ready: Any, tmp_path: Path, change: Any, message: str) -> None:
    change(*ready)
    with pytest.raises(UserError, match=message):
        split(ready, tmp_path / "split")


def test_experts_of_another_form_are_refused(ready: Any, tmp_path: Path) -> None:
    other = config_for(ready[1], form="literal")
    with pytest.raises(UserError, match="form = 'zero_down', but this configuration expects 'literal'"):
        split((other, ready[1], ready[2]), tmp_path / "split")


def test_too_little_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 1000)
    monkeypatch.setattr(sharded_writer.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(UserError, match=r"1e-06 GB free, 0.000156 GB needed; .*runs_dir=FOLDER"):
        write(small(), tmp_path / "out", SHARD_BYTES, "x", quiet)
    assert not list((tmp_path / "out").glob("*.safetensors*"))


class Breaks(Exception):
    pass


class Breaking:
    """A source whose reader fails at one tensor."""

    def __init__(self, inner: TensorSource, at: str) -> None:
        self.entries, self._inner, self._at = inner.entries, inner, at

    def rows(self, name: str, start: int, stop: int) -> Any:
        if name == self._at:
            raise Breaks
        return self._inner.rows(name, start, stop)


def test_an_interrupted_assembly_goes_on_and_looks_unfinished_until_then(tmp_path: Path) -> None:
    wanted = checksum(small(), SHARD_BYTES, quiet)
    with pytest.raises(Breaks):
        write(Breaking(small(), "t8"), tmp_path, SHARD_BYTES, "x", quiet)
    assert not (tmp_path / INDEX).exists()
    finished = sorted(tmp_path.glob("*.safetensors"))
    assert 0 < len(finished) < len(wanted)
    assert not list(tmp_path.glob("*.partial"))
    before = {file: file.stat().st_mtime_ns for file in finished}
    finished[0].write_bytes(finished[0].read_bytes()[:-1] + b"\1")  # spoiled while nobody looked
    spoiled = finished[0]
    write(small(), tmp_path, SHARD_BYTES, "x", quiet)
    assert {file.name: file_checksum(file) for file in tmp_path.glob("*.safetensors")} == wanted
    assert all(
        file.stat().st_mtime_ns == weights_fingerprint
        for file, weights_fingerprint in before.items()
        if file != spoiled
    )
    assert SafetensorsFolder(tmp_path).entries == dict(small().entries)


def test_a_folder_begun_from_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Breaks):
        write(Breaking(small(), "t8"), tmp_path, SHARD_BYTES, "x", quiet)
    with pytest.raises(UserError, match="begun from other inputs"):
        write(small(), tmp_path, SHARD_BYTES, "y", quiet)
    with pytest.raises(UserError, match="begun from other inputs"):
        write(small(), tmp_path, 2 * SHARD_BYTES, "x", quiet)
    (tmp_path / JOURNAL).unlink()
    with pytest.raises(UserError, match="already holds weights"):
        write(small(), tmp_path, SHARD_BYTES, "x", quiet)


def test_a_round_trip_keeps_one_file_at_a_time_and_notices_a_bad_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    sums = round_trip(
        small(), tmp_path, SHARD_BYTES, "x", lambda _line: seen.append(len(list(tmp_path.glob("*.safetensors"))))
    )
    assert sums == checksum(small(), SHARD_BYTES, quiet)
    assert set(seen) == {0}
    (tmp_path / JOURNAL).unlink()
    real = sharded_writer._write_shard

    def flips_a_bit(source: TensorSource, folder: Path, shard: Any) -> str:
        digest = real(source, folder, shard)
        data = bytearray((folder / shard.file).read_bytes())
        data[-1] ^= 1
        (folder / shard.file).write_bytes(data)
        return digest

    monkeypatch.setattr(sharded_writer, "_write_shard", flips_a_bit)
    with pytest.raises(StorageError, match="differs from its source"):
        round_trip(small(), tmp_path, SHARD_BYTES, "x", quiet)


CHILD = """
import time
from pathlib import Path
from upcycle.checkpoint import sharded_writer
from upcycle.checkpoint.tensor_source import SyntheticSource
class Slow:
    def __init__(self, inner): self.entries, self._inner = inner.entries, inner
    def rows(self, *where):
        time.sleep(0.02)
        return self._inner.rows(*where)
source = Slow(SyntheticSource({shapes!r}, "BF16", pool=1009))
getattr(sharded_writer, {mode!r})(source, Path({folder!r}), {limit}, "x", lambda line: print(line, flush=True))
print("done", flush=True)
"""


@pytest.mark.parametrize("mode", ["write", "round_trip"])
def test_kill_9_costs_at_most_the_file_in_work(tmp_path: Path, mode: str) -> None:
    code = CHILD.format(mode=mode, folder=str(tmp_path), shapes=SHAPES, limit=SHARD_BYTES)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines: list[str] = []
    for attempt in range(20):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        if attempt < 2:  # dies inside the file after the first finished one
            lines.append(process.stdout.readline())
            time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        rest = process.communicate(timeout=120)[0].splitlines()
        lines += rest
        assert not (tmp_path / INDEX).exists() or attempt >= 2
        if process.returncode == 0:
            break
    assert lines[-1] == "done"
    wanted = checksum(small(), SHARD_BYTES, quiet)
    journal = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()[1:]]
    assert {line["file"]: line["xxh3"] for line in journal} == wanted
    if mode == "write":
        assert {file.name: file_checksum(file) for file in tmp_path.glob("*.safetensors")} == wanted
    else:
        assert not list(tmp_path.glob("*.safetensors*"))
    assert len(journal) == len(wanted), "no file was finished twice"


def test_a_journal_line_cut_off_by_a_crash_is_as_if_not_written(tmp_path: Path) -> None:
    with pytest.raises(Breaks):
        write(Breaking(small(), "t8"), tmp_path, SHARD_BYTES, "x", quiet)
    journal = tmp_path / JOURNAL
    journal.write_text(journal.read_text()[:-5])
    write(small(), tmp_path, SHARD_BYTES, "x", quiet)
    assert {file.name: file_checksum(file) for file in tmp_path.glob("*.safetensors")} == checksum(
        small(), SHARD_BYTES, quiet
    )


def test_no_file_exceeds_the_limit_and_all_tensors_are_there() -> None:
    planned = plan_shards(small().entries, SHARD_BYTES)
    assert [name for shard in planned for name in shard.entries] == list(small().entries)
    assert all(sum(e.bytes for e in shard.entries.values()) <= SHARD_BYTES for shard in planned)


def test_a_real_width_dry_run_stays_in_600_mb() -> None:
    command = ["dry-run", str(ROOT / "configs/upcycle/innovator-53b.yaml"), "--layers", "1"]
    code = "import sys; from innovator_rl.cli.main import main; main(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, "upcycle", *command], stdout=subprocess.PIPE, text=True
    ) as process:
        output = process.communicate(timeout=250)[0]
    assert process.returncode == 0
    memory = int(output.rstrip().rpartition("largest resident memory ")[2].removesuffix(" MiB"))
    assert 100 < memory * 1.048576 <= 600
    assert "5.9 GB in" in output


def test_a_silent_copy_is_the_network_with_a_down_projection_of_zeros(tmp_path: Path) -> None:
    base_model = make_base_model(tmp_path)
    spec = spec_of(base_model).of_kind("induced")
    source = BaseModelSource(spec, base_model)
    assert not source.rows("model.layers.0.mlp.expert.down_proj.weight", 0, 5).any()
    assert np.array_equal(
        source.rows("model.layers.0.mlp.expert.up_proj.weight", 0, 5),
        source.rows("model.layers.0.mlp.shared_expert.up_proj.weight", 0, 5),
    )
