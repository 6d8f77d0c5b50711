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


def _fourier(define: Definition) -> onnx.FunctionProto | None:
    """DFT: the real and imaginary parts times constant cosines and sines, in float64."""
    if any(define.has(i) and define.known(i) is None for i in (1, 2)):
        return None
    rank = len(define.shape())
    axis = _fourier_axis(define) % rank
    inverse, one_sided = (define.node.attributes.get_int(name, 0) == 1 for name in ("inverse", "onesided"))
    length = _fourier_length(define, axis, bins=inverse and one_sided)
    used = min(define.shape()[axis], length // 2 + 1 if inverse and one_sided else length)
    order = [*(a for a in range(rank - 1) if a != axis), rank - 1, axis]
    x = define.cast(define.slice(define.inputs[0], axis, 0, used), np.float64)
    parts = _parts(define, define("Transpose", x, perm=order))
    product = _real_inverse if inverse and one_sided else _transform
    result = product(define, parts, (used, length), inverse=inverse, one_sided=one_sided)
    back = define("Transpose", result, perm=np.argsort(order).tolist())
    return define.finish(define.cast(back, define.dtype()))


def _fourier_axis(define: Definition) -> int:
    """The axis: an attribute before opset 20, then an input."""
    known = define.known(2) if define.has(2) else None
    return define.node.attributes.get_int("axis", -2) if known is None else int(known.item())


def _fourier_length(define: Definition, axis: int, *, bins: bool) -> int:
    """How many points the transform has; `bins` if the input holds only the first half of them."""
    known = define.known(1) if define.has(1) else None
    if known is not None:
        return int(known.item())
    return 2 * (define.shape()[axis] - 1) if bins else define.shape()[axis]


def _parts(define: Definition, x: str) -> list[str]:
    """The real part of `x` [..., 1 or 2, n], and the imaginary one if there is one."""
    return [define.slice(x, -2, i, i + 1) for i in range(define.shape()[-1])]


def _angles(used: int, length: int, results: int) -> Array:
    """The angle of point i in result j, [used, results]."""
    return 2 * np.pi / length * ((np.arange(used)[:, None] * np.arange(results)) % length)


def _transform(define: Definition, parts: list[str], sizes: tuple[int, int], *, inverse: bool, one_sided: bool) -> str:
    """The complex transform, [..., 2, bins]."""
    angles = _angles(*sizes, sizes[1] // 2 + 1 if one_sided else sizes[1])
    scale = 1 / sizes[1] if inverse else 1.0
    cosine = define.constant(np.cos(angles) * scale, np.float64)
    sine = define.constant(np.sin(angles) * (scale if inverse else -scale), np.float64)
    real, imaginary = define("MatMul", parts[0], cosine), define("MatMul", parts[0], sine)
    if len(parts) > 1:
        real = define("Sub", real, define("MatMul", parts[1], sine))
        imaginary = define("Add", imaginary, define("MatMul", parts[1], cosine))
    return define("Concat", real, imaginary, axis=-2)


def _real_inverse(
    define: Definition, parts: list[str], sizes: tuple[int, int], *, inverse: bool, one_sided: bool
) -> str:
    """The real signal, [..., 1, length], whose first half of bins is given; the others mirror them."""
    assert inverse
    assert one_sided
    used, length = sizes
    bins = np.arange(used)
    weight = np.where((bins == 0) | (2 * bins == length), 1.0, 2.0)[:, None] / length
    angles = _angles(used, length, length)
    real = define("MatMul", parts[0], define.constant(np.cos(angles) * weight, np.float64))
    return define("Sub", real, define("MatMul", parts[1], define.constant(np.sin(angles) * weight, np.float64)))


PRODUCTS: dict[str, Define] = {"Gemm": _gemm, "DFT": _fourier}
