"""Matrix products of every form, and the discrete Fourier transform, as MatMul."""

from __future__ import annotations

import numpy as np
import onnx

from graphprune.passes.definition import Array, Define, Definition


def _gemm(define: Definition) -> onnx.FunctionProto:
    """Gemm whose matrices are both computed at run time, or of a dtype that its kernel does not take."""
    attributes = define.node.attributes
    a, b = define.inputs[:2]
    a = define("Transpose", a, perm=[1, 0]) if attributes.get_int("transA", 0) else a
    b = define("Transpose", b, perm=[1, 0]) if attributes.get_int("transB", 0) else b
    product = _scaled(define, define("MatMul", a, b), attributes.get_float("alpha", 1.0))
    if define.has(2):
        product = define("Add", product, _scaled(define, define.inputs[2], attributes.get_float("beta", 1.0)))
    return define.finish(product)


def _scaled(define: Definition, value: str, factor: float) -> str:
    return value if factor == 1.0 else define("Mul", value, define.like(factor))


AXIS_IS_INPUT = 20
"""The opset from which on that of DFT is."""

MOST_FACTORS = 1 << 26
"""Elements of a transform's matrix, that of 4,096 complex points."""


def _fourier(define: Definition) -> onnx.FunctionProto | None:
    """DFT: the real and imaginary parts next to each other times one constant matrix, in float64."""
    if any(define.has(i) and define.known(i) is None for i in (1, 2)):
        return None
    rank = len(define.shape())
    axis = _fourier_axis(define) % rank
    inverse, one_sided = (define.node.attributes.get_int(name, 0) == 1 for name in ("inverse", "onesided"))
    length = _fourier_length(define, axis, bins=inverse and one_sided)
    used = min(define.shape()[axis], length // 2 + 1 if inverse and one_sided else length)
    if 4 * used * length > MOST_FACTORS:
        return None
    order = [*(a for a in range(rank - 1) if a != axis), rank - 1, axis]
    x = define.cast(define.slice(define.inputs[0], axis, 0, used), np.float64)
    *outer, parts, _ = (define.shape()[a] for a in order)
    if inverse and one_sided:
        matrix = _real_inverse(used, length)
    else:
        matrix = _transform(used, length, length // 2 + 1 if one_sided else length, inverse=inverse)
    lines = define.reshape(define("Transpose", x, perm=order), (*outer, 1, parts * used))
    product = define("MatMul", lines, define.constant(matrix[: parts * used], np.float64))
    results = 1 if inverse and one_sided else 2
    split = define.reshape(product, (*outer, results, matrix.shape[1] // results))
    back = define("Transpose", split, perm=np.argsort(order).tolist())
    return define.finish(define.cast(back, define.dtype()))


def _fourier_axis(define: Definition) -> int:
    """The axis: an attribute before opset 20, by default 1, then an input, by default the last but the parts."""
    known = define.known(2) if define.has(2) else None
    if known is not None:
        return int(known.item())
    graph = define.node.graph
    assert graph is not None
    return -2 if graph.opset_imports[""] >= AXIS_IS_INPUT else define.node.attributes.get_int("axis", 1)


def _fourier_length(define: Definition, axis: int, *, bins: bool) -> int:
    """How many points the transform has; `bins` if the input holds only the first half of them."""
    known = define.known(1) if define.has(1) else None
    if known is not None:
        return int(known.item())
    return 2 * (define.shape()[axis] - 1) if bins else define.shape()[axis]


def _angles(used: int, length: int, results: int) -> Array:
    """The angle of point i in result j, [used, results]."""
    return 2 * np.pi / length * ((np.arange(used)[:, None] * np.arange(results)) % length)


def _transform(used: int, length: int, results: int, *, inverse: bool) -> Array:
    """The matrix of the complex transform, [real, imaginary points; real, imaginary results]."""
    angles = _angles(used, length, results)
    cosine, sine = np.cos(angles), np.sin(angles) * (1 if inverse else -1)
    return np.block([[cosine, sine], [-sine, cosine]]) / (length if inverse else 1)


def _real_inverse(used: int, length: int) -> Array:
    """The matrix of a real signal of `length`, whose first half of bins is given; the others mirror them."""
    bins = np.arange(used)
    weight = np.where((bins == 0) | (2 * bins == length), 1.0, 2.0)[:, None] / length
    angles = _angles(used, length, length)
    return np.concatenate([np.cos(angles) * weight, -np.sin(angles) * weight])


PRODUCTS: dict[str, Define] = {"Gemm": _gemm, "DFT": _fourier}
