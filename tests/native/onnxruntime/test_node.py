"""What a node checks before it runs, and what it says where it cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphprune.backends.base import Variant
from graphprune.backends.tvm.backend import machine_of
from graphprune.backends.tvm.building.build import Program, build
from graphprune.backends.tvm.program.recording import Kernels, Weights
from graphprune.backends.tvm.variants import VariantLowering
from graphprune.compiler import custom_op
from graphprune.compiler.custom_op import export_for_onnxruntime
from graphprune.native import CUSTOM_OP
from graphprune.targets.target import TARGETS, resolve_target
from graphprune_runtime.description import BatchNote, Description
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import compile_, parse, pruned
from tests.compiler.exported import assert_same, options_for, session_of

TWO = "g (float[2,3] x, float[3] c) => (float[2,3] y) { y = Add(x,c) }"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "two.onnx"
    export_for_onnxruntime(parse(TWO), path)
    return path


def without_shapes(model: Path) -> Path:
    """The same file, whose inputs may have any shape: so ONNX Runtime leaves the check to the node."""
    proto = onnx.load(model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.ClearField("shape")
    onnx.save(proto, model.with_name("any.onnx"))
    return model.with_name("any.onnx")


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


WRONG = {
    "input 'x' has extent 4 at axis 1, expected 3": (ones(2, 4), ones(3)),
    "input 'x' has extent 0 at axis 0, expected 2": (ones(0, 3), ones(3)),
    "input 'x' has 1 dimensions, expected 2": (ones(6), ones(3)),
    "input 'x' has 64 dimensions, expected 2": (ones(*[1] * 64), ones(3)),
    "input 'c' has 0 dimensions, expected 1": (ones(2, 3), ones()),
    "input 'c' has extent 1 at axis 0, expected 3": (ones(2, 3), ones(1)),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_shape_is_said_and_the_session_lives_on(message: str, two: Path) -> None:
    session = session_of(without_shapes(two), options_for(two))
    x, c = WRONG[message]
    with pytest.raises(Exception, match=f"GP515: {message}$"):
        session.run(None, {"x": x, "c": c})
    assert session.run(None, {"x": ones(2, 3), "c": ones(3)})[0].tolist() == [[2, 2, 2], [2, 2, 2]]


def test_onnx_runtime_checks_what_the_file_says(two: Path) -> None:
    with pytest.raises(Exception, match="Got invalid dimensions for input: x"):
        session_of(two).run(None, {"x": ones(2, 4), "c": ones(3)})
    with pytest.raises(Exception, match="Unexpected input data type"):
        session_of(two).run(None, {"x": ones(2, 3).astype(np.float64), "c": ones(3)})


@pytest.mark.parametrize("threads", [1, 2])
def test_an_index_out_of_range(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    text = "g (int64[4,3] i) => (float[4,3,2] y) { [look] y = Gather(t,i) }"
    ours = export_for_onnxruntime(parse(text, {"t": (10, 2)}), path, threads=threads)
    session, good = session_of(path), {"i": np.arange(12).reshape(4, 3) % 10}
    for _ in range(3):
        with pytest.raises(Exception, match=re.escape("GP413: node 'look' (Gather): index outside the 10 rows")):
            session.run(None, {"i": np.full((4, 3), 10)})
        assert_same(session.run(None, good), ours.run(None, good))


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**40])
def test_a_number_of_threads_that_cannot_be(threads: int, two: Path) -> None:
    proto = onnx.load(two)
    proto.graph.node[0].attribute[0].i = threads
    onnx.save(proto, two.with_name("threads.onnx"))
    with pytest.raises(Exception, match=f"GP532: threads is {threads}, expected 1 to 1024"):
        session_of(two.with_name("threads.onnx"), options_for(two))


def write(path: Path, models: Sequence[ir.Model], opened: Sequence[str] = ()) -> None:
    """Export one library with a program for each of the models; each run has any number of samples of the `opened`."""
    target, into = resolve_target("native"), (Kernels(), Weights())
    lowering = VariantLowering(machine_of(target, 1), None, *into)
    programs = [program for model in models for program in lowering.whole(Variant.of(model)).programs]
    programs = [_open(*each) for each in zip(programs, opened, strict=True)] if opened else programs
    description = Description(tuple(p.note for p in programs), target.level, TARGETS[target.level].features, 1)
    compiled = build(programs, *into, description, target, CUSTOM_OP)
    custom_op._write(CompiledSession(compiled.file, 1), path, "several")


def _open(program: Program, names: str) -> Program:
    """The program of one sample as one of any number; inputs called otherwise are the same for all samples."""
    inputs, outputs = (
        tuple(replace(info, shape=("batch", *info.shape[1:])) if info.name in names else info for info in infos)
        for infos in (program.note.inputs, program.note.outputs)
    )
    return replace(program, note=replace(program.note, inputs=inputs, outputs=outputs, batch=BatchNote(None, "open")))


LINEAR = "g (float[{n},32] x, float[{n},32] b) => (float[{n},48] y) {{ a = Add(x,b) y = MatMul(a,w) }}"


def linear(n: int) -> ir.Model:
    return parse(LINEAR.format(n=n), {"w": pruned(32, 48)})


def feed(n: int, other: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    shapes = {"x": (n, 32), "b": (other or n, 32)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_the_program_for_the_shapes_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write(path, [linear(1), linear(4), linear(6)])
    session = session_of(path)
    assert session.get_inputs()[0].shape[1:] == [32]
    for n in (1, 4, 6, 4):
        assert_same(session.run(None, feed(n)), compile_(linear(n)).run(None, feed(n)))
    said = "GP515: input 'x' has extent 5 at axis 0, expected 6; nor does another of 3 programs fit"
    with pytest.raises(Exception, match=said):
        session.run(None, feed(5))
    with pytest.raises(Exception, match="GP515: input 'x' has extent 4 at axis 0, expected 6; nor"):
        session.run(None, feed(4, 6))


def test_any_number_of_samples(tmp_path: Path) -> None:
    path, one = tmp_path / "m.onnx", compile_(linear(1))
    write(path, [linear(1)], ["xby"])
    onnx.checker.check_model(str(path), full_check=True)
    session = session_of(path)
    assert [(each.name, each.shape) for each in session.get_inputs()] == [("x", ["batch", 32]), ("b", ["batch", 32])]
    assert session.get_outputs()[0].shape == ["batch", 48]
    for n in (1, 3, 7, 2):
        given = feed(n)
        rows = [one.run(None, {k: v[i : i + 1] for k, v in given.items()})[0] for i in range(n)]
        assert_same(session.run(None, given), [np.concatenate(rows)])
    with pytest.raises(Exception, match=r"GP515: input 'b' has extent 2 at axis 0, expected 3$"):
        session.run(None, feed(3, 2))
    with pytest.raises(Exception, match=r"GP515: input 'x' has extent 0 at axis 0, expected 1$"):
        session.run(None, {"x": ones(0, 32), "b": ones(0, 32)})


def test_samples_are_counted_for_each_program(tmp_path: Path) -> None:
    """The first program takes the samples of `x`, the second one those of `b`."""
    path = tmp_path / "m.onnx"
    write(path, [linear(1), linear(1)], ["xy", "by"])
    session, ours = session_of(path), compile_(linear(4))
    given = feed(4)
    for name in ("x", "b"):
        one = {**given, name: given[name][:1]}
        same = {**given, name: np.repeat(given[name][:1], 4, axis=0)}
        np.testing.assert_allclose(session.run(None, one)[0], ours.run(None, same)[0], rtol=1e-5, atol=1e-5)
