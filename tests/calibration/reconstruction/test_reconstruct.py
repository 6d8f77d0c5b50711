"""Whole models, block by block."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.calibration.prune import prune
from graphprune.calibration.reconstruction import reconstruct as module
from graphprune.calibration.reconstruction import training
from graphprune.calibration.reconstruction.reconstruct import part
from graphprune.calibration.reconstruction.training import Arrays, Pair, train_block
from graphprune.calibration.trial import relative_errors
from graphprune.errors import GraphPruneError, InputError, UnsupportedModelError
from graphprune.passes.fingerprint import fingerprint
from graphprune.verification.intermediate import run_with_outputs
from tests.backends.tvm.graphs import parse

RNG = np.random.default_rng(7)
TEXT = """g (float[1,8] x) => (float[1,8] y) {
    [one] a = Gemm(x,u,b) r = Relu(a) [two] c = MatMul(r,v) d = Add(c,x) e = Relu(d)
    [three] f = Gemm(e,w) h = Relu(f) [four] i = MatMul(h,s) y = Add(i,e) }"""
MODEL = parse(TEXT, {"u": (8, 16), "b": (16,), "v": (16, 8), "w": (8, 16), "s": (16, 8)})
SAMPLES = [{"x": RNG.standard_normal((1, 8)).astype(np.float32)} for _ in range(24)]
HELD = SAMPLES[3::4]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS", 80)


def pruned(*repair: str, model: ir.Model = MODEL, **options: object) -> gp.PruneResult:
    plan = gp.plan(model, gp.Recipe(sparsity=0.5))
    return prune(model, plan, SAMPLES, repair=repair, **options)  # type: ignore[arg-type]


def test_outputs_err_less_on_samples_that_nothing_was_fitted_to() -> None:
    found, without = pruned("blocks"), pruned()
    errors = [relative_errors(MODEL, each.model, HELD)["y"] for each in (found, without)]
    assert errors[0] < 0.95 * errors[1]
    assert (found.skips, found.samples) == ((), 24)
    assert [layer.zeros for layer in found.layers] == [layer.zeros for layer in without.layers]
    for name in "uvws":
        arrays = [each.model.graph.initializers[name].const_value for each in (found, without)]
        np.testing.assert_array_equal(*(array.numpy() == 0 for array in arrays if array is not None))
    assert fingerprint(pruned("blocks").model) == fingerprint(found.model)


def test_each_block_takes_what_trained_ones_give_and_wants_what_the_dense_model_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[list[str], list[Pair], list[Pair]]] = []

    def halved(_: ir.Model, names: Arrays, pairs: Sequence[Pair], held: Sequence[Pair], seed: int) -> Arrays:
        seen.append((sorted(names), [*pairs], [*held]))
        return {name: array * np.float32(0.5) for name, array in names.items() if seed == 0}

    errors = iter([1.0, 0.5])
    monkeypatch.setattr(module, "train_block", halved)
    monkeypatch.setattr(module, "relative_errors", lambda *_: {"y": next(errors)})
    found = pruned("blocks").model
    assert [names for names, _, _ in seen] == [["b", "u", "v"], ["s", "w"]]
    for _, pairs, held in seen:
        assert (len(pairs), len(held)) == (18, 6)
    for pair, feed in zip(seen[1][2], HELD, strict=True):
        now = run_with_outputs(found, {"e"}, feed)
        np.testing.assert_allclose(pair.taken["e"], now["e"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(pair.wanted["y"], run_with_outputs(MODEL, {"y"}, feed)["y"], rtol=1e-5, atol=1e-6)


def test_a_model_that_gets_no_better_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(_: ir.Model, names: Arrays, *rest: object) -> Arrays:
        assert rest
        return {name: array * np.float32(-9) for name, array in names.items()}

    monkeypatch.setattr(module, "train_block", spoilt)
    found, without = pruned("blocks"), pruned()
    assert fingerprint(found.model) == fingerprint(without.model)
    before = relative_errors(MODEL, without.model, HELD)["y"]
    (skip,) = found.skips
    assert (skip.code, skip.node) == ("GP589", "blocks")
    assert skip.reason.startswith("outputs err by ")
    assert skip.reason.endswith(f"% on samples that were held back, by {before:.2%} without")


def test_what_torch_does_not_have_is_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def partly(block: ir.Model, names: Arrays, pairs: Sequence[Pair], held: Sequence[Pair], seed: int) -> Arrays:
        if "u" in names:
            raise UnsupportedModelError("to_torch: 1 operators are not supported", code="GP130")
        return train_block(block, names, pairs, held, seed)

    monkeypatch.setattr(module, "train_block", partly)
    found, without = (pruned(*repair).model.graph.initializers for repair in (["blocks"], []))
    (skip,) = pruned("blocks").skips
    assert str(skip) == "all of the block of node 'one' (Gemm): to_torch: 1 operators are not supported [GP130]"
    for name, stays in {"u": True, "v": True, "w": False, "s": False}.items():
        one, other = (ir.convenience.get_const_tensor(each[name]) for each in (found, without))
        assert one is not None
        assert other is not None
        assert np.array_equal(one.numpy(), other.numpy()) == stays


def test_layers_are_fitted_to_what_is_not_held_back() -> None:
    plan = gp.plan(MODEL, gp.Recipe(sparsity=0.5, criterion="wanda"))
    shown = [sample for index, sample in enumerate(SAMPLES) if index % 4 != 3]
    found, expected = prune(MODEL, plan, SAMPLES, repair=["blocks"]), prune(MODEL, plan, shown)
    for name in "uvws":
        arrays = [each.model.graph.initializers[name].const_value for each in (found, expected)]
        np.testing.assert_array_equal(*(array.numpy() == 0 for array in arrays if array is not None))


class StoppedError(Exception):
    """What kills a run."""


def test_a_run_that_was_killed_goes_on_behind_its_last_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pruned("blocks")

    def stop(done: int) -> None:
        if done == 6:
            raise StoppedError

    with pytest.raises(StoppedError):
        pruned("blocks", resume_in=tmp_path / "run", on_layer=stop)
    trained: list[list[str]] = []

    def counted(block: ir.Model, names: Arrays, pairs: Sequence[Pair], held: Sequence[Pair], seed: int) -> Arrays:
        trained.append(sorted(names))
        return train_block(block, names, pairs, held, seed)

    monkeypatch.setattr(module, "train_block", counted)
    done: list[int] = []
    found = pruned("blocks", resume_in=tmp_path / "run", on_layer=done.append)
    assert (trained, done) == ([["s", "w"]], [1, 2, 3, 4, 6, 8])
    assert fingerprint(found.model) == fingerprint(whole.model)


def test_too_few_samples() -> None:
    with pytest.raises(InputError, match=r"blocks holds back one of 4 samples, and 3 are given; give more \[GP595\]"):
        part(SAMPLES[:3])
    assert [len(each) for each in part(SAMPLES[:4])] == [3, 1]


def test_there_is_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("graphprune.calibration.reconstruction.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "graphprune.frontends.torch_graph", raising=False)
    with pytest.raises(GraphPruneError, match=r"torch is needed for this .* \[GP122\]"):
        pruned("blocks")
