"""A node and the batch axes of what it reads: how inputs line up, and parts of constants."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.batch.site import BatchAxis, MixedSamplesError, Site
from tests.backends.tvm.graphs import Initializer, parse


def site(text: str, axes: dict[str, BatchAxis], constant: Initializer = (1,), samples: int = 3) -> Site:
    """The last node of a graph, with a constant `c`, where some of its inputs hold samples."""
    graph = parse(f"g {text}", {"c": constant}).graph
    node = list(graph)[-1]
    values = {str(value.name): value for value in node.inputs if value is not None}
    return Site(node, {values[name]: axis for name, axis in axes.items()}, samples)


CLIP = "(float[3,4] x, float m) => (float[3,4] y) { y = Clip(x,,m) }"


def test_inputs_that_are_there() -> None:
    found = site(CLIP, {"x": BatchAxis(0)})
    assert found.given() == [0, 2]
    assert found.batched() == {0: BatchAxis(0)}
    assert found.only() == BatchAxis(0)
    assert (found.shape(0), found.shape(2), found.output_shape) == ((3, 4), (), (3, 4))


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ({"m": BatchAxis(0)}, r"inputs \[2\] differ between samples"),
        ({"x": BatchAxis(0), "m": BatchAxis(0)}, r"inputs \[0, 2\] differ between samples"),
        ({}, r"inputs \[\] differ between samples"),
    ],
)
def test_another_input_that_differs_is_refused(axes: dict[str, BatchAxis], reason: str) -> None:
    with pytest.raises(MixedSamplesError, match=reason):
        site(CLIP, axes).only()


@pytest.mark.parametrize(("written", "default", "axis"), [("<axis=-1>", 0, 2), ("<axis=1>", 0, 1), ("", -2, 1)])
def test_axes_count_from_the_front(written: str, default: int, axis: int) -> None:
    found = site(f"(float[3,4,5] x) => (float[3,4,5] y) {{ y = Softmax{written}(x) }}", {"x": BatchAxis(0)})
    assert found.attribute_axis(default) == axis


def test_a_scalar_has_an_axis_all_the_same() -> None:
    assert site("(float x) => (float y) { y = Softmax(x) }", {"x": BatchAxis(0)}).attribute_axis(-1) == 0


@pytest.mark.parametrize(
    ("x", "z", "axes", "expected"),
    [
        ("3,4", "2,3,4", {"x": BatchAxis(0), "z": BatchAxis(1)}, BatchAxis(1)),
        ("3,4", "3,4", {"x": BatchAxis(0), "z": BatchAxis(0)}, BatchAxis(0)),
        ("6,4", "6,1", {"x": BatchAxis(0, 2), "z": BatchAxis(0, 2)}, BatchAxis(0, 2)),
        ("3,4", "1,4", {"x": BatchAxis(0)}, BatchAxis(0)),
        ("3,4", "4", {"x": BatchAxis(0)}, BatchAxis(0)),
        ("3,4", "2,1,4", {"x": BatchAxis(0)}, BatchAxis(1)),
    ],
)
def test_inputs_line_up_from_behind(x: str, z: str, axes: dict[str, BatchAxis], expected: BatchAxis) -> None:
    found = site(f"(float[{x}] x, float[{z}] z) => (float y) {{ y = Add(x,z) }}", axes)
    assert found.aligned((0, 1), max(len(found.shape(0)), len(found.shape(1)))) == expected
    assert found.parts == {}


@pytest.mark.parametrize(
    ("axes", "indices"),
    [
        ({"x": BatchAxis(0), "z": BatchAxis(1)}, (0, 1)),
        ({"x": BatchAxis(0), "z": BatchAxis(0, 3)}, (0, 1)),
        ({"x": BatchAxis(0)}, (1,)),
        ({}, (0, 1)),
    ],
)
def test_inputs_that_do_not_line_up_are_refused(axes: dict[str, BatchAxis], indices: tuple[int, ...]) -> None:
    found = site("(float[3,3] x, float[3,3] z) => (float[3,3] y) { y = Add(x,z) }", axes)
    with pytest.raises(MixedSamplesError, match="along different axes"):
        found.aligned(indices, 2)


def test_what_is_not_asked_for_may_lie_elsewhere() -> None:
    found = site(
        "(float[3,3] x, float[3,3] z) => (float[3,3] y) { y = Add(x,z) }", {"x": BatchAxis(0), "z": BatchAxis(1)}
    )
    assert found.aligned((0,), 2) == BatchAxis(0)


ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.mark.parametrize(
    ("text", "axis", "constant", "part"),
    [
        ("(float[3,4] x) => (float[3,4] y) { y = Add(x,c) }", BatchAxis(0), np.repeat(ROWS[:1], 3, 0), ROWS[:1]),
        ("(float[6,4] x) => (float[6,4] y) { y = Add(x,c) }", BatchAxis(0, 2), np.tile(ROWS, (3, 1)), ROWS),
        (
            "(float[2,3] x) => (float[2,3] y) { y = Add(x,c) }",
            BatchAxis(1),
            np.repeat(ROWS[:, 1:2], 3, 1),
            ROWS[:, 1:2],
        ),
        ("(float[4,6] x) => (float[4,6] y) { y = Add(x,c) }", BatchAxis(1, 2), np.tile(ROWS.T, (1, 3)), ROWS.T),
        ("(float[2,3] x) => (float[2,3] y) { y = Add(x,c) }", BatchAxis(1), np.repeat(ROWS[0, :1], 3), ROWS[0, :1]),
    ],
)
def test_a_constant_that_repeats_itself_is_replaced_by_its_part(
    text: str, axis: BatchAxis, constant: np.ndarray, part: np.ndarray
) -> None:
    found = site(text, {"x": axis}, constant)
    assert found.aligned((0, 1), 2) == axis
    np.testing.assert_array_equal(found.parts[1], part)


def test_a_constant_that_differs_is_refused() -> None:
    constant = np.repeat(ROWS[:1], 3, 0)
    constant[2, 3] += 1
    found = site("(float[3,4] x) => (float[3,4] y) { y = Add(x,c) }", {"x": BatchAxis(0)}, constant)
    with pytest.raises(MixedSamplesError, match="input 1, a constant, differs between samples"):
        found.aligned((0, 1), 2)


def test_what_is_computed_has_no_part() -> None:
    found = site("(float[3,4] x, float[3,4] z) => (float[3,4] y) { y = Add(x,z) }", {"x": BatchAxis(0)})
    with pytest.raises(MixedSamplesError, match="input 1 has an extent of the batch, and is no constant"):
        found.aligned((0, 1), 2)
    clip = site(CLIP, {"x": BatchAxis(0)})
    with pytest.raises(MixedSamplesError, match="input 1 has an extent of the batch, and is no constant"):
        clip.constant(1)
