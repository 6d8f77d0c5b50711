"""Matrix products of every form, and the discrete Fourier transform, as MatMul."""

from __future__ import annotations

import numpy as np
import onnx

from graphprune.backends.tvm.rewrites.definition import Define, Definition


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
    """DFT: the real and imaginary parts times constant cosines and sines."""
    if (define.has(1) and define.known(1) is None) or (define.has(2) and define.known(2) is None):
        return None
    shape, attributes = define.shape(), define.node.attributes
    axis = _fourier_axis(define) % len(shape)
    length = int(define.known(1).item()) if define.has(1) else shape[axis]  # type: ignore[union-attr]
    inverse = attributes.get_int("inverse", 0) == 1
    one_sided = attributes.get_int("onesided", 0) == 1
    if inverse and one_sided:
        return None
    used, bins = min(length, shape[axis]), length // 2 + 1 if one_sided else length
    x = define.slice(define.inputs[0], axis, 0, used)
    order = [a for a in range(len(shape) - 1) if a != axis]
    x = define("Transpose", x, perm=[*order, len(shape) - 1, axis])
    result = _fourier_product(define, x, (used, length, bins), inverse=inverse)
    back = np.argsort([*order, len(shape) - 1, axis])
    return define.finish(define("Transpose", result, perm=back.tolist()))


def _fourier_axis(define: Definition) -> int:
    """The axis: an attribute before opset 20, then an input."""
    known = define.known(2) if define.has(2) else None
    if known is not None:
        return int(known.item())
    return define.node.attributes.get_int("axis", -2)


def _fourier_product(define: Definition, x: str, sizes: tuple[int, int, int], *, inverse: bool) -> str:
    """`x` [..., 1 or 2, used] times the transform of `length`, [..., 2, bins]."""
    used, length, bins = sizes
    angle = 2 * np.pi / length * ((np.arange(used)[:, None] * np.arange(bins)) % length)
    scale = 1 / length if inverse else 1.0
    cosine = define.like(np.cos(angle) * scale)
    sine = define.like(np.sin(angle) * (scale if inverse else -scale))
    real = define.slice(x, -2, 0, 1)
    real_part, imaginary_part = define("MatMul", real, cosine), define("MatMul", real, sine)
    if define.shape()[-1] == 2:
        imaginary = define.slice(x, -2, 1, 2)
        real_part = define("Sub", real_part, define("MatMul", imaginary, sine))
        imaginary_part = define("Add", imaginary_part, define("MatMul", imaginary, cosine))
    return define("Concat", real_part, imaginary_part, axis=-2)


PRODUCTS: dict[str, Define] = {"Gemm": _gemm, "DFT": _fourier}
