import json
from pathlib import Path

import numpy as np
import pytest

from graphprune.cli.inputs import read_arrays, read_samples
from tests.invoke import assert_refused, invoke
from tests.small_model import weight, write

SHAPE = (1, 8, 6, 6)
MODULE = f"""
import numpy as np
number = 3

def three():
    for value in range(3):
        yield {{"x": np.full({SHAPE}, value + 1, "float32")}}

def one():
    return next(three())

def nothing():
    return 5
"""


def stacked(path: Path, count: int) -> Path:
    np.savez(path, x=np.random.default_rng(0).standard_normal((count, *SHAPE[1:])).astype("float32"))
    return path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, of a name that no other test has imported."""
    monkeypatch.chdir(tmp_path)
    name = f"samples_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    return name


def cases(*arguments: object) -> int:
    outcome = invoke("verify", *arguments, "--json")
    assert outcome.code == 0, outcome
    report = json.loads(outcome.out)
    assert report["seed"] is None
    return int(report["cases"])


def test_verify_compares_every_sample_given(tmp_path: Path, module: str) -> None:
    model = write(tmp_path / "m.onnx")
    folder = tmp_path / "data"
    folder.mkdir()
    one, two = stacked(folder / "1.npz", 1), stacked(folder / "2.npz", 2)
    np.save(tmp_path / "x.npy", np.ones(SHAPE, "float32"))
    sides = (model, model)
    assert cases(*sides, "--inputs", two) == 2
    assert cases(*sides, "--input", one) == 1
    assert cases(*sides, "--inputs", folder) == 3
    assert cases(*sides, "--inputs", f"{module}:three") == 3
    assert cases(*sides, "--inputs", f"{module}:three", "--cases", "2") == 2
    assert cases(*sides, "--inputs", f"{module}:one") == 1
    assert cases(*sides, "--inputs", f"x={tmp_path / 'x.npy'}") == 1
    assert "equal on 2 samples given" in invoke("verify", *sides, "--inputs", two).out


def test_a_difference_that_only_real_inputs_show_is_found(tmp_path: Path) -> None:
    spoilt = weight()
    spoilt[0, 0, 0, 0] += 1e-6
    sides = write(tmp_path / "a.onnx"), write(tmp_path / "b.onnx", w=spoilt)
    assert invoke("verify", *sides).code == 0
    x = np.zeros(SHAPE, "float32")
    x[0, 0] = 1e6
    np.savez(tmp_path / "x.npz", x=x)
    assert invoke("verify", *sides, "--inputs", tmp_path / "x.npz", "--atol", "0.1", "--rtol", "0").code == 1


def test_run_and_bench_take_the_first_sample(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    ones, twos = np.ones(SHAPE, "float32"), np.full(SHAPE, 2, "float32")
    np.savez(tmp_path / "two.npz", x=np.concatenate([ones, twos]))
    np.save(tmp_path / "x.npy", ones)
    both, first = (
        invoke("run", model, "--input", source) for source in (tmp_path / "two.npz", f"x={tmp_path / 'x.npy'}")
    )
    assert both.code == 0
    assert both.out == first.out
    np.savez(tmp_path / "wrong.npz", z=ones)
    assert_refused(invoke("bench", model, "--runs", "1", "--inputs", tmp_path / "wrong.npz"), "unknown input 'z'")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("three.x:y", "No module named"),
        ("{module}:four", "has no function 'four'"),
        ("{module}:number", "has no function 'number'"),
        ("{module}:nothing", "returns a int, expected samples"),
    ],
)
def test_what_is_no_function_of_samples_is_refused(module: str, function: str, message: str, tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    assert_refused(invoke("verify", model, model, "--inputs", function.format(module=module)), message, "[GP568]")


def test_sources_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    (tmp_path / "bad.npz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "x.npy", np.ones(2))
    (tmp_path / "x.npy").rename(tmp_path / "one.npz")
    for source, code in [
        (tmp_path / "missing.npz", "GP606"),
        (tmp_path / "bad.npz", "GP606"),
        (tmp_path / "one.npz", "GP606"),
        (tmp_path / "empty", "GP568"),
        ("nothing", "GP605"),
    ]:
        assert_refused(invoke("verify", model, model, "--inputs", source), str(source), code)


def test_sources_do_not_mix(tmp_path: Path) -> None:
    model, data = write(tmp_path / "m.onnx"), stacked(tmp_path / "d.npz", 1)
    assert_refused(invoke("run", model, "--inputs", data, "--inputs", data), "gives all inputs", "[GP605]")
    given = ("--inputs", data, "--input-shape", "x:1x8x6x6")
    for command in (("verify", model), ("run",), ("bench",)):
        assert_refused(invoke(*command, model, *given), "--input-shape is for inputs drawn at random", "[GP612]")


def test_a_path_may_hold_an_equals_sign(tmp_path: Path) -> None:
    np.save(tmp_path / "a=b.npy", np.ones(2))
    assert read_arrays([f"x={tmp_path / 'a=b.npy'}"])["x"].tolist() == [1, 1]


def test_without_sources_there_are_no_samples() -> None:
    assert read_samples(None) is None
    assert read_samples([]) is None
