"""The oracle for each numerical equivalence that a pass can promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.graph.opaque import is_opaque
from graphprune.passes.base import Equivalence, Pass, run_pass
from graphprune.passes.reference import reference_evaluator
from graphprune.testing.float64 import as_float64, feed_as_float64

Feed = Mapping[str, np.ndarray]
Outputs = Sequence[np.ndarray]

_RTOL_32, _ATOL_32 = 1e-5, 1e-6
_TOL_64 = 1e-9


def difference(pass_: Pass, before: ir.Model, after: ir.Model, feeds: Sequence[Feed]) -> str | None:
    """Compare `before` and `after` by the oracle that `pass_.equivalence` names.

    `EXACT`: bitwise by ONNX Runtime without optimisations. `REASSOCIATED` and `MASKED`: float32 within rtol 1e-5 and
    atol 1e-6 of the largest magnitude; `REASSOCIATED` also runs the pass on the float64 twin of `before`, which onnx's
    reference evaluator must find equal to 1e-9, unless only ONNX Runtime knows its operators. `LOSSY`: the shapes and
    types of the outputs. An input of `before` that is an initializer of `after` is given that value.

    Returns:
        What differs, or None.
    """
    compare = _COMPARISONS[pass_.equivalence]
    names = [str(value.name) for value in after.graph.outputs]
    old, new = session_for(before, optimize=False), session_for(after, optimize=False)
    fixed = _fixed_inputs(before, after)
    for index, feed in enumerate(feeds):
        found = _first(names, old.run(None, {**feed, **fixed}), new.run(None, feed), compare)
        if found:
            return f"case {index}: {found}"
    if pass_.equivalence is not Equivalence.REASSOCIATED or any(is_opaque(before, node) for node in before.graph):
        return None
    return _difference_64(pass_, before, feeds)


def _fixed_inputs(before: ir.Model, after: ir.Model) -> dict[str, np.ndarray]:
    inputs = {value.name for value in before.graph.inputs}
    fixed = [(name, value.const_value) for name, value in after.graph.initializers.items() if name in inputs]
    return {name: tensor.numpy() for name, tensor in fixed if tensor is not None}


def _difference_64(pass_: Pass, before: ir.Model, feeds: Sequence[Feed]) -> str | None:
    wide = as_float64(before)
    narrowed = run_pass(pass_, wide).model
    names = [str(value.name) for value in wide.graph.outputs]
    old, new = (reference_evaluator(ir.to_proto(model)) for model in (wide, narrowed))
    for index, feed in enumerate(feeds):
        expected, actual = (_arrays(side.run(None, feed_as_float64(dict(feed)))) for side in (old, new))
        found = _first(names, expected, actual, _close_64)
        if found:
            return f"case {index} in float64: {found}"
    return None


def _first(
    names: Sequence[str], old: Outputs, new: Outputs, compare: Callable[[np.ndarray, np.ndarray], str | None]
) -> str | None:
    for name, expected, actual in zip(names, old, new, strict=True):
        found = _same_kind(expected, actual) or compare(expected, actual)
        if found:
            return f"output '{name}': {found}"
    return None


def _arrays(results: object) -> Outputs:
    """Onnx declares the results of its evaluator loosely; tensors are all that is compared here."""
    assert isinstance(results, list)
    return [np.asarray(result) for result in results]


def _same_kind(expected: np.ndarray, actual: np.ndarray) -> str | None:
    kinds = [f"{array.dtype}{list(array.shape)}" for array in (expected, actual)]
    return None if kinds[0] == kinds[1] else f"is {kinds[1]}, expected {kinds[0]}"


def _bitwise(expected: np.ndarray, actual: np.ndarray) -> str | None:
    return None if expected.tobytes() == actual.tobytes() else f"not bitwise equal, {_worst(expected, actual)}"


def _close_32(expected: np.ndarray, actual: np.ndarray) -> str | None:
    return _close(expected, actual, _RTOL_32, _ATOL_32)


def _close_64(expected: np.ndarray, actual: np.ndarray) -> str | None:
    return _close(expected, actual, _TOL_64, _TOL_64)


def _close(expected: np.ndarray, actual: np.ndarray, rtol: float, atol: float) -> str | None:
    if not np.issubdtype(expected.dtype, np.floating):
        return _bitwise(expected, actual)
    finite = np.abs(expected[np.isfinite(expected)])
    largest = float(finite.max()) if finite.size else 0.0
    if np.allclose(actual, expected, rtol=rtol, atol=atol * largest, equal_nan=True):
        return None
    return f"{_worst(expected, actual)}, allowed rtol {rtol:g} and atol {atol * largest:.3g}"


def _worst(expected: np.ndarray, actual: np.ndarray) -> str:
    if not np.issubdtype(expected.dtype, np.number):
        return f"{int((expected != actual).sum())} elements differ"
    gaps = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    worst = int(np.argmax(np.nan_to_num(gaps, nan=np.inf)))
    return f"element {worst} is {actual.reshape(-1)[worst]!s}, expected {expected.reshape(-1)[worst]!s}"


_COMPARISONS: dict[Equivalence, Callable[[np.ndarray, np.ndarray], str | None]] = {
    Equivalence.EXACT: _bitwise,
    Equivalence.REASSOCIATED: _close_32,
    Equivalence.MASKED: _close_32,
    Equivalence.LOSSY: lambda _expected, _actual: None,
}
