"""Variants: their coarse experts, their budgets, and one command that runs and compares them."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from innovator_rl.errors import UserError
from innovator_rl.models import make
from upcycle.checkpoint.dtypes import Array
from upcycle.checkpoint.expert_init import CopiedExpert, PartlyRedrawnExpert, ShuffledExpert
from upcycle.checkpoint.readers import BaseModelSource, read_base_config
from upcycle.config.schema import load
from upcycle.model.architecture import ModelSpec
from upcycle.stages import ablations

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "configs/upcycle/ablations.yaml"
LAYER = "model.layers.1.mlp.expert."


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def copied() -> CopiedExpert:
    base_model = make("tiny-qwen2")
    spec = ModelSpec.from_config(load(ROOT / "configs/upcycle/tiny.yaml"), read_base_config(base_model), "mixture")
    return CopiedExpert(spec, BaseModelSource(spec.of_kind("dense"), base_model))


def whole(source: object, projection: str) -> Array:
    name = f"{LAYER}{projection}.weight"
    return source.rows(name, 0, source.entries[name].rows)  # type: ignore[attr-defined]


def answer(source: object, x: Array) -> Array:
    gate, up, down = (whole(source, name).astype(np.float64) for name in ("gate_proj", "up_proj", "down_proj"))
    z = x @ gate.T
    return (z / (1 + np.exp(-z)) * (x @ up.T)) @ down.T


def test_shuffled_channels_are_the_same_function_in_another_order(copied: CopiedExpert) -> None:
    shuffled = ShuffledExpert(copied, seed=3)
    x = np.random.default_rng(0).standard_normal((5, 128))
    assert np.allclose(answer(shuffled, x), answer(copied, x), atol=1e-12)
    assert not np.array_equal(whole(shuffled, "up_proj"), whole(copied, "up_proj"))
    name = f"{LAYER}gate_proj.weight"
    assert np.array_equal(shuffled.rows(name, 10, 20), whole(shuffled, "gate_proj")[10:20]), (
        "parts are parts of one whole"
    )


def test_dropped_channels_are_drawn_anew_in_all_three_matrices(copied: CopiedExpert) -> None:
    dropped = PartlyRedrawnExpert(copied, 0.5, seed=1)
    rows = {
        name: np.any(whole(dropped, name) != whole(copied, name), axis=0 if name == "down_proj" else 1)
        for name in ("gate_proj", "up_proj", "down_proj")
    }
    assert np.array_equal(rows["gate_proj"], rows["up_proj"])
    assert np.array_equal(rows["gate_proj"], rows["down_proj"])
    assert 0.4 < rows["gate_proj"].mean() < 0.6
    assert whole(dropped, "up_proj").std() == pytest.approx(whole(copied, "up_proj").std(), rel=0.05)
    name = f"{LAYER}down_proj.weight"
    assert np.array_equal(dropped.rows(name, 10, 20), whole(dropped, "down_proj")[10:20])


def test_every_shipped_variant_spends_the_same_tokens() -> None:
    plan = ablations.load(SHIPPED)
    assert {
        "innovator",
        "paper-literal",
        "iso-total-1",
        "printed-2",
        "base-model-copy",
        "drop-upcycling",
    } <= plan.configs.keys()
    for name, config in plan.configs.items():
        induced = plan.variants[name].experts in ("induced", "shuffled")
        spent = (
            config.train_experts.tokens * len(config.disciplines) * induced
            + config.train_router.budget
            + config.train_joint.tokens
        )
        assert spent == plan.base.train_dense.tokens, name


def test_groups_share_an_expert(tmp_path: Path) -> None:
    plan = ablations.load(SHIPPED)
    assert list(plan.configs["printed-2"].disciplines) == ["-".join(plan.base.disciplines)]
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump({"base": str(ROOT / "configs/upcycle/tiny.yaml"), "variants": {"x": {"groups": 5}}}))
    with pytest.raises(UserError, match=r"variants\.x\.groups = 5"):
        ablations.load(file)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"expert": "copied"}, "variants.x.expert"),
        ({"settings": {"mixture.splitt": 2}}, "did you mean split"),
        ({"settings": {"train_router.init_tokens": 32768}}, r"x: train_router\.init_tokens = 32768 leaves nothing"),
        ({"settings": {"route.start_tokens": 1000}}, "not a multiple of train_router.batch_tokens = 1024; set 1024"),
    ],
)
def test_a_wrong_variant_is_named_before_anything_runs(
    variant: dict[str, object], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump({"base": str(ROOT / "configs/upcycle/tiny.yaml"), "variants": {"x": variant}}))
    with pytest.raises(UserError, match=message):
        ablations.load(file)


def test_one_command_runs_and_compares_them(tmp_path: Path) -> None:
    document = yaml.safe_load(SHIPPED.read_text())
    kept = {name: document["variants"][name] for name in ("innovator", "softmax-top-k", "printed-2", "drop-upcycling")}
    file = tmp_path / "some.yaml"
    file.write_text(
        yaml.safe_dump({"base": str(ROOT / "configs/upcycle/tiny.yaml"), "variants": kept}, sort_keys=False)
    )
    small = [
        f"runs_dir={tmp_path}",
        "trainer.threads=1",
        "train_experts.tokens=1024",
        "train_router.tokens=1024",
        "train_joint.tokens=1024",
    ]
    said: list[str] = []
    text = ablations.run(file, small, said.append)
    names = [line.split(" | ")[0].strip("| ") for line in text.splitlines()[2:]]
    assert names == ["base model", "dense, continued", *kept]
    losses = [float(line.split(" | ")[6]) for line in text.splitlines()[4:]]
    assert all(4 < loss < 6 for loss in losses)
    assert any("drop-upcycling" in line for line in said)
    induced = {path.name.partition(".")[0] for path in tmp_path.glob("*.induct-*")}
    assert induced == {"tiny-upcycle-innovator", "tiny-upcycle-printed-2"}, "what is induced alike is induced once"
    assert ablations.run(file, small, said.append) == text, "a second run only reads"
