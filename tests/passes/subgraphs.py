"""Models with weights inside subgraphs, written with the arrays that are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.float32]]
"""The weights of a model, by the names that `named_constants` gives them."""

HEADER = '<ir_version: 10, opset_import: ["" : 18]>\n'


def two_convolutions(weights: Arrays) -> str:
    """An If whose branches have a convolution each, of weights that are called the same."""
    yes, no = (_declared("w", weights[f"y.{branch}.w"]) for branch in ("then_branch", "else_branch"))
    return f"""{HEADER}g (float[2,8,5,5] x, bool c) => (float[2,4,3,3] y) {{
        y = If (c) <
            then_branch = yes () => (float[2,4,3,3] a) <{yes}> {{ a = Conv (x, w) }},
            else_branch = no () => (float[2,4,3,3] b) <{no}> {{ b = Conv (x, w) }}
        >
    }}"""


def loop(weights: Arrays) -> str:
    """A Loop that multiplies by a weight of the graph around and by a constant of its own."""
    around, own = _declared("w_around", weights["w_around"]), _literal(weights["w_own"])
    return f"""{HEADER}g (float[2,8] x) => (float[2,8] y) <{around}, int64 n = {{3}}, bool go = {{1}}> {{
        y = Loop (n, go, x) <
            body = step (int64 i, bool on, float[2,8] s) => (bool on_out, float[2,8] t) {{
                on_out = Identity (on)
                w_own = Constant <value = {own}> ()
                a = MatMul (s, w_around)
                b = MatMul (a, w_own)
                t = Tanh (b)
            }}
        >
    }}"""


def shared(weights: Arrays) -> str:
    """A weight that the main graph reads after both branches of an If inside a Scan have read it."""
    declared = _declared("w", weights["w"])
    return f"""{HEADER}g (float[3,2,8] x, float[2,8] h, bool c) => (float[2,8] y, float[3,2,8] z) <{declared}> {{
        last, z = Scan (h, x) <num_scan_inputs = 1, body = step (float[2,8] s, float[2,8] e) => (float[2,8] t, float[2,8] u) {{
            r = If (c) <
                then_branch = yes () => (float[2,8] a) {{ a = MatMul (e, w) }},
                else_branch = no () => (float[2,8] b) {{ v = Transpose (w) b = MatMul (e, v) }}
            >
            t = Add (r, s)
            u = Neg (r)
        }}>
        y = MatMul (last, w)
    }}"""  # noqa: E501 - the text form of a subgraph


CASES: Mapping[str, tuple[Callable[[Arrays], str], dict[str, tuple[int, ...]]]] = {
    "two convolutions": (two_convolutions, {"y.then_branch.w": (4, 8, 3, 3), "y.else_branch.w": (4, 8, 3, 3)}),
    "loop": (loop, {"w_around": (8, 8), "w_own": (8, 8)}),
    "shared": (shared, {"w": (8, 8)}),
}
"""What writes a model, and the shapes of its weights."""


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[np.float32]]:
    """Return random arrays."""
    rng = np.random.default_rng(5)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def without_smallest(array: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """Return the array times the mask that lets its smallest elements go."""
    pruned = round(share * array.size)
    mask = np.abs(array) > np.sort(np.abs(array), axis=None)[pruned - 1]
    return np.asarray(array * mask, np.float32)


def _declared(name: str, array: npt.NDArray[np.float32]) -> str:
    shape, values = _parts(array)
    return f"float[{shape}] {name} = {{{values}}}"


def _literal(array: npt.NDArray[np.float32]) -> str:
    shape, values = _parts(array)
    return f"float[{shape}] {{{values}}}"


def _parts(array: npt.NDArray[np.float32]) -> tuple[str, str]:
    return ",".join(map(str, array.shape)), ",".join(f"{value:.9g}" for value in array.ravel())
