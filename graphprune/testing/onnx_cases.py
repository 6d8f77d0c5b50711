"""The operator cases that come with `onnx`, run through a backend: which pass, which are refused, and why.

A backend with static shapes needs some operands as constants (the shape of Reshape, the axes of ReduceSum), which these
cases pass as graph inputs. Such operands become initializers here before the model is compiled; data never does.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import GraphPruneError
from graphprune.frontends.opset import modernize
from graphprune_runtime.interface import Session

SHAPE_OPERANDS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Squeeze", "Unsqueeze", "Split", "Expand", "Reshape", "Tile", "TopK", "CumSum", "CumProd"), (1,)),
    **dict.fromkeys(("Upsample", "OneHot", "CenterCropPad", "AffineGrid", "Trilu", "Compress"), (1,)),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"), (1,)),
    **dict.fromkeys(("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"), (1,)),
    **dict.fromkeys(("ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow"), (0,)),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (1, 2, 3),
    "Range": (0, 1, 2),
    "MaxUnpool": (2,),
    "Col2Im": (1, 2),
    "Dropout": (1, 2),
    "DFT": (1, 2),
    "STFT": (1, 3),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
}
"""Inputs of the case's model that say what shape its outputs have."""

WITHOUT_DATA = frozenset(
    {"BlackmanWindow", "ConstantOfShape", "HammingWindow", "HannWindow", "MelWeightMatrix", "Range"}
)
"""Operators of which every input says what shape the outputs have."""

DISPUTED = frozenset({f"test_resize_downsample_scales_{mode}_align_corners" for mode in ("linear", "cubic")})
"""Cases that ONNX Runtime computes otherwise: with the rounded length of the output, where onnx takes the exact one."""

BFLOAT16_RTOL = 2.0**-6
"""Two units in the last place, as the runner of `onnx` allows."""

CANCELLING = frozenset({"DFT"})
"""Operators whose sums may cancel: what is left of the terms' rounding is compared with the largest result.

The expected imaginary parts of the inverse transforms are such rests of the reference's own arithmetic.
"""

Data = Any
"""A value of a case: an array, a scalar, a proto or a list of these."""


class Verdict(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Case:
    """One model with inputs and expected outputs; `operator` is what it was written to check."""

    name: str
    operator: str
    model: onnx.ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float


@dataclass(frozen=True)
class Outcome:
    """A case's verdict and, unless it passed, the reason in one line."""

    case: str
    operator: str
    verdict: Verdict
    reason: str = ""


def cases() -> list[Case]:
    """All node cases of the installed `onnx`; takes some ten seconds, because it computes their data."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    models = {case.name: case.model for case in found if case.model is not None}
    single = {name: _identifier(model.graph.node[0]) for name, model in models.items() if len(model.graph.node) == 1}
    return [
        Case(case.name, _operator(case.name, model, single), model, case.data_sets or [], case.rtol, case.atol)
        for case in found
        if (model := models.get(case.name)) is not None
    ]


def _identifier(node: onnx.NodeProto) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain else str(node.op_type)


def _operator(name: str, model: onnx.ModelProto, single: Mapping[str, str]) -> str:
    """The operator of a case; one that was expanded to several nodes has that of the case it was made from."""
    unexpanded = re.sub(r"_expanded.*$", "", name)
    return single.get(unexpanded, _identifier(model.graph.node[0]))


def run_case(case: Case, compile_model: Callable[[ir.Model], Session]) -> Outcome:
    """Compile a case's model, run it on each of its data sets and compare as the runner of `onnx` does."""
    try:
        for inputs, expected in case.data:
            model, feed = freeze(case, inputs)
            results = compile_model(modernize(model, Path(case.name))).run(None, feed)
            if case.name in DISPUTED:
                expected = session_for(model, optimize=False).run(None, feed)  # noqa: PLW2901 - what is right here
            _compare(results, expected, case)
    except GraphPruneError as error:
        return Outcome(case.name, case.operator, Verdict.REFUSED, _one_line(error))
    except Exception as error:  # noqa: BLE001 - whatever else is raised is the backend's defect
        return Outcome(case.name, case.operator, Verdict.FAILED, f"{type(error).__name__}: {_one_line(error)}")
    return Outcome(case.name, case.operator, Verdict.PASSED)


def freeze(case: Case, inputs: Sequence[Any]) -> tuple[ir.Model, dict[str, np.ndarray]]:
    """The model of a case with its shape operands as initializers, and the feed for the inputs that remain."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    proto.ir_version = max(proto.ir_version, 8)
    feed: dict[str, np.ndarray] = {}
    frozen = _shape_operands(case, proto)
    for info, array in zip(case.model.graph.input, inputs, strict=True):
        if info.name in frozen:
            proto.graph.input.remove(info)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(_array(array), info.name))
        else:
            feed[info.name] = _array(array)
    return ir.from_proto(proto), feed


def _array(data: Data) -> Data:
    """A case's value as an array, unless it is a list; dtypes that NumPy does not have come as protos."""
    if isinstance(data, onnx.TensorProto):
        return onnx.numpy_helper.to_array(data)
    return np.asarray(data) if isinstance(data, np.generic | int | float) else data


def _shape_operands(case: Case, proto: onnx.ModelProto) -> set[str]:
    positions = SHAPE_OPERANDS.get(case.operator, ())
    if len(proto.graph.node) == 1:
        names = list(proto.graph.node[0].input)
        return {names[i] for i in positions if i < len(names) and names[i]}
    names = [info.name for info in proto.graph.input]
    return {names[i] for i in positions if i < len(names)}


def _compare(results: Sequence[np.ndarray], expected: Sequence[Any], case: Case) -> None:
    for index, (result, reference) in enumerate(zip(results, map(_array, expected), strict=True)):
        if result.shape != reference.shape or result.dtype != reference.dtype:
            got, want = f"{result.dtype}{list(result.shape)}", f"{reference.dtype}{list(reference.shape)}"
            raise AssertionError(f"output {index} is {got}, expected {want}")
        rtol = BFLOAT16_RTOL if result.dtype.name == "bfloat16" else case.rtol
        wide: list[Any] = [a.astype(np.float32) if a.dtype.name == "bfloat16" else a for a in (result, reference)]
        rounding = np.finfo(np.float32).eps * np.abs(wide[1]).max() if case.operator in CANCELLING else 0.0
        np.testing.assert_allclose(wide[0], wide[1], rtol=rtol, atol=max(case.atol, rounding))


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:200]


def by_operator(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each operator, operators in alphabetical order."""
    table: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.operator, o.case)):
        table.setdefault(outcome.operator, []).append(outcome)
    return table
