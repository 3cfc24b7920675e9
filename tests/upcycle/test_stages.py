"""The stages on a tiny base model: what trains and what does not, what is refused, and that nothing is done twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from innovator_rl.errors import UserError
from innovator_rl.models import make
from upcycle.checkpoint.hf_export import ExportSource
from upcycle.checkpoint.readers import open_training_folder, read_base_config
from upcycle.checkpoint.tensor_source import SafetensorsFolder, SyntheticSource
from upcycle.checkpoint.torch_io import as_tensor
from upcycle.config.schema import UpcycleConfig, load
from upcycle.model.architecture import ModelSpec, tensor_shapes
from upcycle.planning.plan import plan
from upcycle.stages import induction, integration, pipeline, routing
from upcycle.stages.common import build, evaluation, prepare
from upcycle.stages.folders import artifacts
from upcycle.stages.report import measured_stages, plot, table
from upcycle.training.distributed import DistributedContext

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[UpcycleConfig, Path, list[str]]:
    """A whole tiny run with its baseline; the configuration, the exported folder and what was said."""
    config = configuration(tmp_path_factory.mktemp("runs"), "mixture.null_experts=1")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        exported = pipeline.run(config, make("tiny-qwen2"), said.append, dense=True)
    return config, exported, said


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def configuration(runs: Path, *more: str) -> UpcycleConfig:
    small = (
        "train_experts.tokens=2048",
        "train_router.tokens=8192",
        "train_joint.tokens=2048",
        "train_dense.tokens=2048",
    )
    words = {word.partition("=")[0]: word for word in (f"runs_dir={runs}", "trainer.threads=1", *small, *more)}
    return load(ROOT / "configs/upcycle/tiny.yaml", list(words.values()))


def beside(other: UpcycleConfig, runs: Path, parts: tuple[str, ...], *more: str) -> UpcycleConfig:
    """A configuration that takes `parts` of its artifacts from another's run."""
    config = configuration(runs, "mixture.null_experts=1", *more)
    (runs / config.name).mkdir()
    for part in parts:
        (runs / config.name / part).symlink_to(artifacts(other) / part)
    return config


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    source = SafetensorsFolder(folder)
    return {
        name: as_tensor(source.rows(name, 0, entry.rows), entry.dtype).view(entry.shape)
        for name, entry in source.entries.items()
    }


def test_routing_moves_the_router_alone_and_integration_everything(
    finished: tuple[UpcycleConfig, Path, list[str]],
) -> None:
    folder = artifacts(finished[0])
    split, routed, whole = (tensors(folder / stage) for stage in ("split", "route", "integrate"))
    moved = {name for name in split if not torch.equal(split[name], routed[name])}
    assert moved == {name for name in split if name.endswith("mlp.gate.weight")}
    still = {name for name in split if torch.equal(routed[name], whole[name])}
    assert still == {name for name in split if name.endswith("routed_scale")}


def test_a_router_that_starts_at_random_learns_the_disciplines(
    finished: tuple[UpcycleConfig, Path, list[str]], tmp_path: Path
) -> None:
    config = beside(finished[0], tmp_path, ("data", "split"), "train_router.init_tokens=0")
    pipeline.in_process(config)("train_router", "")
    measured = {row.stage: row.metrics for row in measured_stages(config)}
    before, after = measured["split, router untrained"], measured["routed"]
    assert after["val/router/accuracy"] > before["val/router/accuracy"] + 0.15
    assert after["val/router/specialization"] > before["val/router/specialization"]


def test_the_router_starts_from_as_much_text_as_told_and_trains_on_other_text(
    finished: tuple[UpcycleConfig, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = beside(
        finished[0],
        tmp_path,
        ("data", "split"),
        "train_router.init_tokens=4096",
        "train_router.tokens=2048",
        "train_router.batch_tokens=1024",
    )
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(routing, "init_router", lambda _m, slices, _g, _p: seen.extend(b.tokens for b in slices))
    trainer = routing.build_trainer(prepare(config))
    trainer.begin()
    started = {tuple(row) for tokens in seen for row in tokens.tolist()}
    trained = {tuple(row) for step in range(trainer.steps) for b in trainer.batches(step) for row in b.tokens.tolist()}
    assert len(started) == 4096 // config.data.sequence_length, "no sequence twice"
    assert not started & trained


def test_a_router_that_starts_in_closed_form_knows_them_before_its_first_step(
    finished: tuple[UpcycleConfig, Path, list[str]],
) -> None:
    measured = {row.stage: row.metrics for row in measured_stages(finished[0])}
    assert measured["split, router initialized"]["val/router/accuracy"] > 0.5, "chance is 0.25"


def test_induction_starts_at_the_base_model_and_lowers_the_loss(
    finished: tuple[UpcycleConfig, Path, list[str]],
) -> None:
    config = finished[0]
    runs = Path(config.runs_dir)
    lines = [
        json.loads(line) for line in (runs / f"{config.name}.induct-physics/metrics.jsonl").read_text().splitlines()
    ]
    held_out = [line["val/loss/physics"] for line in lines if "val/loss/physics" in line]
    base_model = measured_stages(config)[0].metrics["val/loss/physics"]
    assert held_out[0] == pytest.approx(base_model, abs=1e-6), "a silent expert changes nothing"
    assert held_out[-1] < held_out[0]


def test_every_stage_measures_the_same_held_out_sequences(finished: tuple[UpcycleConfig, Path, list[str]]) -> None:
    """Their losses are kept one by one, so that two stages can be compared sequence by sequence."""
    config = finished[0]
    found = []
    for ending in ("route", "integrate", "dense"):
        run = Path(config.runs_dir) / f"{config.name}.{ending}"
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        line = [line for line in lines if "val/loss/physics" in line][-1]
        losses = json.loads((run / f"held_out/step-{line['step']}.json").read_text())
        for text, sequences in losses.items():
            nats, tokens = (sum(values) for values in zip(*sequences.values(), strict=True))
            assert line[f"val/loss/{text}"] == pytest.approx(nats / tokens)
        found.append({text: {key: tokens for key, (_, tokens) in one.items()} for text, one in losses.items()})
    assert found[0] == found[1] == found[2]
    assert set(found[0]) == {*config.disciplines, "general"}


def test_ranks_share_the_held_out_sequences(finished: tuple[UpcycleConfig, Path, list[str]]) -> None:
    """Each sequence is measured once, whatever the number of ranks; a rank too many measures none."""
    context = prepare(finished[0])
    _, source = open_training_folder(artifacts(finished[0]) / "integrate")
    model = build(context, "mixture", source, lambda _: False)
    alone = evaluation(context, model)().losses
    count = sum(len(one) for one in alone.values())
    measured: dict[tuple[str, int], list[float]] = {}
    for rank in range(count + 1):
        part = replace(context, distributed=DistributedContext(rank, count + 1, torch.device("cpu")))
        for text, sequences in evaluation(part, model)().losses.items():
            for index, (nats, tokens) in sequences.items():
                if tokens:
                    measured.setdefault((text, index), []).append(nats)
    assert {key: len(nats) for key, nats in measured.items()} == dict.fromkeys(measured, 1)
    for (text, index), nats in measured.items():
        assert nats[0] == pytest.approx(alone[text][index][0], rel=1e-5)
    assert len(measured) == count


def test_a_second_run_trains_nothing(finished: tuple[UpcycleConfig, Path, list[str]]) -> None:
    config, exported, _ = finished
    before = {path: path.stat().st_mtime_ns for path in Path(config.runs_dir).rglob("*.safetensors")}
    assert pipeline.run(config, make("tiny-qwen2"), lambda _line: None, dense=True) == exported
    assert {path: path.stat().st_mtime_ns for path in Path(config.runs_dir).rglob("*.safetensors")} == before
    assert (exported / "config.json").is_file()
    baseline = json.loads((exported.with_name("export-dense") / "config.json").read_text())
    assert baseline["model_type"] == "qwen2"


def test_the_report_has_a_row_a_stage(finished: tuple[UpcycleConfig, Path, list[str]], tmp_path: Path) -> None:
    config = finished[0]
    text = table(config)
    assert [line.split(" | ")[0].strip("| ") for line in text.splitlines()[2:]] == [
        row.stage for row in measured_stages(config)
    ]
    assert "100.0%" in text.splitlines()[2]
    plot(config, tmp_path / "plots" / "run.png")
    assert (tmp_path / "plots" / "run.png").stat().st_size > 5000


def test_only_new_parts_train_when_asked(finished: tuple[UpcycleConfig, Path, list[str]], tmp_path: Path) -> None:
    config = beside(finished[0], tmp_path, ("data", "route"), "train_joint.train=experts")
    pipeline.in_process(config)("train_joint", "")
    routed, whole = (tensors(artifacts(config) / stage) for stage in ("route", "integrate"))
    moved = {name for name in routed if not torch.equal(routed[name], whole[name])}
    assert moved == {name for name in routed if ".mlp.gate." in name or ".mlp.experts." in name}
    spec, _ = open_training_folder(artifacts(config) / "integrate")
    assert spec.null_experts == 1


def test_another_seed_keeps_the_held_out_documents(
    finished: tuple[UpcycleConfig, Path, list[str]], tmp_path: Path
) -> None:
    folders = [artifacts(finished[0]) / "data"]
    for words in (("seed=7",), ("data.split_seed=7",)):
        runs = tmp_path / words[0]
        folders.append(prepare(configuration(runs, *words)).folder / "data")
    kept, same, other = ((folder / "physics.held_out-0000.bin").read_bytes() for folder in folders)
    assert kept == same != other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("disciplines.astronomy=[]",), "discipline 'astronomy' has no sources"),
        (("disciplines.general=[README.md]",), "means general text"),
        (("general=[no/such/*.txt]",), "no file matches"),
        (("general=[]",), "general_share = 0.2, but `general` lists no text"),
        (("general=[setup.py]",), "unknown format"),
        (("general=[{corpus: no/such/corpus}]",), "is not found: build the corpus"),
        (("train_joint.batch_tokens=64",), "both must be multiples of"),
    ],
)
def test_what_would_stop_a_later_stage_stops_before_the_first(
    settings: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    config = configuration(tmp_path, *settings)
    with pytest.raises(UserError, match=message):
        pipeline.run(config, make("tiny-qwen2"), lambda _line: None)
    assert not any(tmp_path.iterdir())


def test_a_batch_that_the_ranks_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="both must be multiples of"):
        induction.train_expert(configuration(tmp_path, "train_experts.batch_tokens=64"), "physics")
    with pytest.raises(UserError, match="unknown discipline 'alchemy'"):
        induction.train_expert(configuration(tmp_path), "alchemy")


@pytest.mark.parametrize("change", ["trainer.dtype=bfloat16", "trainer.micro_batch_tokens=256", "trainer.compile=true"])
def test_a_trainer_setting_that_changes_the_numbers_is_refused_at_resume(
    finished: tuple[UpcycleConfig, Path, list[str]], tmp_path: Path, change: str
) -> None:
    config = beside(finished[0], tmp_path, ("data", "route"))
    context = prepare(config)
    integration.build_trainer(context)
    saved = tmp_path / f"{config.name}.integrate/checkpoints/step=000001"
    saved.mkdir(parents=True)
    other = replace(context, config=beside_again(config, change))
    with pytest.raises(UserError, match=f"another {change.partition('=')[0]}"):
        integration.build_trainer(other)
    free = replace(context, config=beside_again(config, "trainer.keep=7"))
    saved.rmdir()
    integration.build_trainer(free)


def beside_again(config: UpcycleConfig, *more: str) -> UpcycleConfig:
    return configuration(Path(config.runs_dir), "mixture.null_experts=1", *more)


def test_the_report_counts_what_the_runs_trained(finished: tuple[UpcycleConfig, Path, list[str]]) -> None:
    config = finished[0]
    others = load(ROOT / "configs/upcycle/tiny.yaml", [f"runs_dir={config.runs_dir}", "mixture.null_experts=1"])
    assert others.train_experts.tokens == 4 * config.train_experts.tokens
    assert [row.tokens for row in measured_stages(others)] == [row.tokens for row in measured_stages(config)]
    assert measured_stages(others)[1].tokens == 4 * 2048


def test_a_base_model_of_bfloat16_is_exported_as_such(tmp_path: Path) -> None:
    spec = ModelSpec.from_config(configuration(tmp_path), read_base_config(make("tiny-qwen2")), "mixture")
    short = replace(spec, base_config={**spec.base_config, "dtype": "bfloat16"})
    trained = SyntheticSource(dict(tensor_shapes(short)), "F32", pool=1)
    assert ExportSource(short, trained).dtype == "BF16"
    assert ExportSource(short, trained, "float32").dtype == "F32"
    config = configuration(tmp_path)
    assert plan(config, short.base_config, 2).export_bytes == sum(
        e.bytes for e in ExportSource(short, trained).entries.values()
    )
