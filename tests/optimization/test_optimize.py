"""From a model to files, on a small network."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.allocation import times
from graphprune.analysis.constants import named_constants
from graphprune.analysis.sparsity import weight_counts
from graphprune.backends.tvm.building import roofline
from graphprune.calibration.ranges import Feed
from graphprune.errors import InputError, PreconditionError
from graphprune.measuring import benchmark
from graphprune.optimization import ladder
from graphprune.optimization.optimize import optimize
from graphprune.reporting.report import Report
from graphprune.stages.stage import Stage, set_stage
from graphprune.targets.target import Target
from tests.allocation.network import feeds, network
from tests.invoke import invoke

pytestmark = pytest.mark.usefixtures("quick_roofline")


def node_times(model: ir.Model, *_: object) -> dict[str, float]:
    """Layers take as long as they have elements that are not zero: the real times of so small ones are noise."""
    counts = weight_counts(model)
    return {"": 0.1} | {
        node: float(counts[name].elements - counts[name].zeros) / 1000
        for node, weight in {"one": "u", "two": "v", "three": "w"}.items()
        for name in (weight, f"{weight}_quantized")
        if name in counts
    }


def make_quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(times, "_node_times", node_times)
    patch.setattr(ladder, "_TRIES", 2)
    patch.setattr(benchmark, "FASTEST_MS", 1.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


class Said(list[str]):
    """What a run said that it does."""

    def __call__(self, text: str) -> None:
        self.append(text)


def run(folder: Path, samples: list[Feed] | None = None, **options: object) -> tuple[Report, Said]:
    said = Said()
    found = optimize(network(), folder, samples or feeds(48), on_step=said, **options)  # type: ignore[arg-type]
    return found, said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, measured_once: Callable[[Target, int], roofline.Roofline]) -> Path:
    """The folder of a run that is done."""
    made = tmp_path_factory.mktemp("optimize")
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        patch.setattr(roofline, "measure_roofline", measured_once)
        _, said = run(made, metric="closeness", max_drop=0.3)
    assert len(said) > 5
    return made


def test_files_and_report(folder: Path) -> None:
    report = Report.load(folder / "report.json")
    names = [each.name for each in report.candidates]
    assert names[0] == "int8"
    assert any(name.startswith("channels, ") for name in names)
    assert any(name.startswith("zeros anywhere, ") for name in names)
    assert any(name.startswith("runs of 4 zeros, int8, ") for name in names)
    for each in (report.dense, *report.candidates):
        session = gp.load_session(folder / str(each.compiled))
        gp.verify(folder / each.model, session).raise_for_failure()
        assert each.compiled_bytes == (folder / str(each.compiled)).stat().st_size
        assert each.max_error is not None
        assert each.kernels
        assert each.steps
    assert report.dense.quality == pytest.approx(1, abs=1e-5)
    assert report.least_quality == pytest.approx(report.dense.quality - 0.3)
    assert [rival.name for rival in report.rivals] == ["onnxruntime, float32", "onnxruntime, int8"]


def test_a_second_run_makes_nothing_again(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("model-*")}
    report, said = run(folder, metric="closeness", max_drop=0.3)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("model-*")} == before
    assert said == ["timing all of them in turns"]
    assert Report.load(folder / "report.json") == report


def test_zeros_by_layer_are_those_of_the_file(folder: Path) -> None:
    report = Report.load(folder / "report.json")
    for each in (each for each in report.candidates if not each.name.startswith("channels")):
        counts = weight_counts(gp.load(folder / each.model))
        assert {layer.name: layer.zeros for layer in each.layers} == {
            layer.name: counts[layer.name].zeros for layer in each.layers
        }
    zeros = next(each for each in report.candidates if each.name.startswith("zeros anywhere"))
    assert sum(layer.zeros for layer in zeros.layers) > 0.3 * sum(layer.elements for layer in zeros.layers)
    assert all(layer.damage is None or 0 < layer.damage < 1 for layer in zeros.layers)
    assert any(layer.damage is not None for layer in zeros.layers)


def test_channels_that_went_are_counted_by_layer(folder: Path) -> None:
    report = Report.load(folder / "report.json")
    small = next(each for each in report.candidates if each.name.startswith("channels"))
    weights = named_constants(gp.load(folder / small.model))
    sizes = {layer.name: layer.elements for layer in report.dense.layers}
    assert {layer.name: layer.elements for layer in small.layers} == sizes == {"u": 384, "v": 576, "w": 192}
    assert {layer.name: layer.zeros for layer in small.layers} == {
        name: size - weights[name][1].size for name, size in sizes.items()
    }
    gone = sum(layer.zeros for layer in small.layers) / sum(sizes.values())
    assert gone == pytest.approx(0.2, abs=0.05)
    assert small.model_bytes < report.dense.model_bytes
    assert any(layer.damage for layer in small.layers)


def test_the_recipe_of_a_candidate_makes_its_zeros_again(folder: Path) -> None:
    report = Report.load(folder / "report.json")
    zeros = next(each for each in report.candidates if each.name.startswith("zeros anywhere"))
    plan = gp.plan(network(), gp.Recipe.load((folder / zeros.model).with_suffix(".yaml")))
    planned = {each.name: each.pruned for each in plan.weights}
    assert {layer.name: layer.zeros for layer in zeros.layers if layer.zeros} == {k: v for k, v in planned.items() if v}


def test_another_run_in_the_same_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(folder, feeds(40), metric="closeness", max_drop=0.3)
    assert caught.value.code == "GP645"


def test_zeros_that_gain_no_time_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "_node_times", lambda *_: {"one": 1.0, "two": 1.0, "three": 1.0})
    report, _ = run(tmp_path)
    assert [(each.name, each.code) for each in report.refused] == [
        ("zeros anywhere", "GP649"),
        ("runs of 4 zeros, int8", "GP649"),
    ]
    assert "gain no time on this machine" in report.refused[0].reason


def test_a_time_that_nothing_meets(tmp_path: Path) -> None:
    report, _ = run(tmp_path, target_latency_ms=1e-6)
    assert report.recommended is None
    assert "none takes at most 1e-06 ms" in str(report.why)
    assert {each.code for each in report.refused} == {"GP641"}
    assert (tmp_path / "model-int8.so").exists()


def test_a_metric_of_the_users_is_asked_and_its_errors_end_the_run(tmp_path: Path) -> None:
    def metric(session: object) -> float:
        raise KeyError(type(session).__name__)

    with pytest.raises(InputError, match=r"raises KeyError: .*Session") as caught:
        run(tmp_path, metric=metric)
    assert caught.value.code == "GP642"


def test_few_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="7 samples are given, expected at least 8") as caught:
        run(tmp_path / "o", feeds(7))
    assert caught.value.code == "GP644"
    assert not (tmp_path / "o").exists()


def test_samples_that_never_vary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "o", [{"x": np.ones((1, 16), np.float32)}] * 9)
    assert caught.value.code == "GP577"


def test_a_model_that_is_not_dense_is_refused(tmp_path: Path) -> None:
    model = network()
    set_stage(model, Stage.SPARSE)
    with pytest.raises(PreconditionError, match="the model is sparse") as caught:
        optimize(model, tmp_path / "o", feeds())
    assert caught.value.code == "GP255"


def test_samples_to_prune_by_and_to_judge_by_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphprune.optimization import optimize as module

    seen: list[list[Feed]] = []

    def search(*arguments: object) -> Iterator[None]:
        seen.extend([arguments[2], arguments[3].feeds])  # type: ignore[list-item,attr-defined]
        raise InterruptedError

    monkeypatch.setattr(module, "Search", search)
    with pytest.raises(InterruptedError):
        run(tmp_path, feeds(60), most_samples=20)
    calibration, held_out = ([feed["x"].tobytes() for feed in each] for each in seen)
    assert (len(calibration), len(held_out)) == (20, 40)
    assert not set(calibration) & set(held_out)
    assert len({*calibration, *held_out}) == 60
    assert calibration == [feed["x"].tobytes() for feed in feeds(60)[:20]]  # what `--samples 20` takes again


def test_the_commands_of_a_candidate_make_it_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gp.save(network(), tmp_path / "dense.onnx")
    np.savez(tmp_path / "samples.npz", x=np.stack([feed["x"] for feed in feeds(48)]))
    monkeypatch.chdir(tmp_path)
    for each in Report.load(folder / "report.json").candidates:
        recipe = (folder / each.model).with_suffix(".yaml")
        if recipe.exists():
            shutil.copy(recipe, tmp_path)
        for step in each.steps[:-1]:
            assert invoke(*shlex.split(step)[1:]).code == 0
        again, before = (named_constants(gp.load(place / each.model)) for place in (tmp_path, folder))
        assert again.keys() == before.keys()
        for name, (_, tensor) in before.items():
            np.testing.assert_array_equal(again[name][1].numpy(), tensor.numpy(), err_msg=f"{each.name}: {name}")
