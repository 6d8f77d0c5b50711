"""Random layers for hypothesis: convolutions and products of all shapes, weights with zeros of every kind."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tests.backends.tvm.layers import Bytes, Layer, Shape, Zeros

MOST_WEIGHTS = 40_000
LONGEST = {1: 300, 2: 36}
"""Outputs along an axis, by the number of spatial axes."""

TAILS = ["relu", "shift", "scale", "residual", "turned", "gate", "sigmoid", "tanh", "swish"]

Along = tuple[int, int, int, int, int, int, int]
"""Size, kernel, stride, dilation, pads before and after, and outputs along one axis."""


def zeros() -> st.SearchStrategy[Zeros]:
    """None, all, anywhere, in blocks, in N:M groups, by whole outputs."""
    shares = st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0])
    rows = st.sampled_from([0.0, 0.0, 0.0, 0.3])
    blocks = st.sampled_from([(4, 1), (2, 1), (1, 4), (4, 4), (8, 1), (3, 2)])
    groups = st.sampled_from([(1, 2), (2, 4), (1, 4), (2, 8), (3, 16)])
    alike = st.sampled_from([(1, 1), (1, 1), (4, 1), (2, 1)])
    return st.one_of(
        st.builds(Zeros, share=shares, empty=rows, full=rows),
        st.builds(Zeros, share=shares, block=blocks, empty=rows, full=rows),
        st.builds(Zeros, groups=groups, block=alike, empty=rows, full=rows),
    )


@st.composite
def layers(draw: st.DrawFn, most: int) -> list[Layer]:
    """From one layer to so many."""
    return [draw(st.one_of(products(), convolutions(), convolutions())) for _ in range(draw(st.integers(1, most)))]


def _finished(draw: st.DrawFn, **fields: object) -> Layer:
    """The layer of these fields; the others are drawn."""
    tail = tuple(draw(st.lists(st.sampled_from(TAILS), max_size=3)))
    integers = draw(st.sampled_from([True, True, True, False]))
    is_constant = fields["zeros"] is not None
    kind = draw(st.one_of(st.none(), _bytes())) if integers and is_constant else None
    seed = draw(st.integers(0, 99))
    return Layer(tail=tail, integers=integers, seed=seed, bytes=kind, **fields)  # type: ignore[arg-type]


@st.composite
def _bytes(draw: st.DrawFn) -> Bytes:
    dtype = draw(st.sampled_from(["uint8", "uint8", "int8"]))
    limits = np.iinfo(dtype)
    zero = st.one_of(st.sampled_from([limits.min, 0, limits.max]), st.integers(limits.min, limits.max))
    point = st.one_of(st.sampled_from([0, 128, 255]), st.integers(0, 255))
    return Bytes(dtype, draw(zero), draw(st.booleans()), draw(st.integers(-3, 6)), draw(point))


@st.composite
def convolutions(draw: st.DrawFn) -> Layer:
    """Over one or two axes, of any groups."""
    axes = draw(st.sampled_from([2, 2, 2, 1]))
    spatial = [draw(st.one_of(_common(LONGEST[axes]), _along(LONGEST[axes]))) for _ in range(axes)]
    sizes, kernel, strides, dilations, before, after, outputs = (list(column) for column in zip(*spatial, strict=True))
    depthwise = draw(st.sampled_from([*[False] * 6, True]))
    groups = draw(st.integers(2, 20)) if depthwise else draw(st.sampled_from([*[1] * 9, 2, 3, 4]))
    most = MOST_WEIGHTS // (groups * math.prod(kernel))
    channels = 1 if depthwise else draw(_count(math.isqrt(most)))
    features = draw(_count(3 if depthwise else most // channels))
    images = draw(st.integers(1, 3))
    return _finished(
        draw,
        op="Conv",
        x=(images, groups * channels, *sizes),
        weight=(groups * features, channels, *kernel),
        y=(images, groups * features, *outputs),
        zeros=draw(zeros()),
        attributes={"strides": strides, "dilations": dilations, "pads": [*before, *after], "group": groups},
        bias=(groups * features,) if draw(st.booleans()) else None,
    )


@st.composite
def _common(draw: st.DrawFn, longest: int) -> Along:
    """What networks have."""
    kernel, stride = draw(st.sampled_from([(1, 1), (3, 1), (3, 2), (5, 1), (7, 2)]))
    size = draw(st.integers(1, longest))
    pad = kernel // 2
    return size, kernel, stride, 1, pad, pad, (size + 2 * pad - kernel) // stride + 1


@st.composite
def _along(draw: st.DrawFn, longest: int) -> Along:
    """Any window, over just as much as so many outputs need or a little more."""
    kernel, before, after = (draw(st.integers(low, high)) for low, high in ((1, 7), (0, 4), (0, 4)))
    stride, dilation = (draw(st.integers(1, 3)) for _ in range(2))
    reach = (kernel - 1) * dilation + 1 - before - after
    size = max(1, (draw(st.integers(1, longest)) - 1) * stride + reach + draw(st.integers(0, stride - 1)))
    return size, kernel, stride, dilation, before, after, (size - reach) // stride + 1


def _count(most: int) -> st.SearchStrategy[int]:
    """A number of channels or rows: few, many, and what rows of the weight that are summed together divide."""
    fours = st.integers(1, max(1, min(most, 80) // 4)).map(lambda number: min(most, 4 * number))
    return st.one_of(st.integers(1, min(most, 9)), st.integers(1, min(most, 160)), fours)


@st.composite
def products(draw: st.DrawFn) -> Layer:
    """MatMul and Gemm, with a constant weight or a second input."""
    rows, inputs, features = (draw(_count(160)) for _ in range(3))
    given = draw(st.sampled_from([zeros(), zeros(), zeros(), st.none()]))
    if draw(st.booleans()):
        return _gemm(draw, rows, inputs, features, draw(given))
    batch: Shape = draw(st.sampled_from([(), (1,), (2,), (3, 2)]))
    constant = draw(given)
    shared = constant is not None or draw(st.booleans())
    return _finished(
        draw,
        op="MatMul",
        x=(*batch, rows, inputs),
        weight=(*(() if shared else batch), inputs, features),
        y=(*batch, rows, features),
        zeros=constant,
    )


def _gemm(draw: st.DrawFn, rows: int, inputs: int, features: int, constant: Zeros | None) -> Layer:
    from_left, from_right = draw(st.booleans()), draw(st.booleans())
    factors = st.sampled_from([1.0, 0.5, 2.0])
    biases = [None, (features,), (1, features), (rows, 1), (rows, features), ()]
    return _finished(
        draw,
        op="Gemm",
        x=(inputs, rows) if from_left else (rows, inputs),
        weight=(features, inputs) if from_right else (inputs, features),
        y=(rows, features),
        zeros=constant,
        attributes={"transA": from_left, "transB": from_right, "alpha": draw(factors), "beta": draw(factors)},
        bias=draw(st.sampled_from(biases)),
    )
