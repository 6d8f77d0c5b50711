"""Products of a few rows by one weight, computed at once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.rewrites.batch_products import LEAST_ROWS, MOST_ROWS, batch_products
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse, prepared, pruned


def steps(
    *, count: int = LEAST_ROWS, rows: int = 1, step: str = "u{0} = Gemm(x{0},w,b)", **weights: Initializer
) -> ir.Model:
    """A graph that splits x into so many parts, and runs `step` on each, from x0 to u0."""
    parts = ",".join(f"x{number}" for number in range(count))
    ends = ",".join(f"u{number}" for number in range(count))
    text = f"""g (float[{count * rows},6] x, float[{rows},5] d) => (float[?,?] y) {{
        {parts} = Split<axis=0,num_outputs={count}>(x)
        {chr(10).join(step.format(number, number - 1) for number in range(count))}
        y = Concat<axis=-1>({ends}) }}"""
    return parse(text, {"w": (6, 5), "b": (5,)} | weights)


def batched(model: ir.Model) -> list[str]:
    """The operators of the prepared graph afterwards."""
    graph = prepared(model).graph
    batch_products(graph)
    return [node.op_type for node in graph]


def test_graph() -> None:
    graph = prepared(steps()).graph
    batch_products(graph)
    split, joined, product, parts, last = graph
    assert [node.op_type for node in graph] == ["Split", "Concat", "Gemm", "Split", "Concat"]
    assert list(joined.inputs) == list(split.outputs)
    assert [value.name for value in product.inputs if value] == [joined.outputs[0].name, "w", "b"]
    assert list(last.inputs) == list(parts.outputs)
    assert {tuple(value.shape or ()) for value in parts.outputs} == {(1, 5)}
    assert product.outputs[0].shape == (LEAST_ROWS, 5)


STEPS: dict[str, dict[str, object]] = {
    "a bias of one row": {"b": (1, 5)},
    "no bias": {"step": "u{0} = Gemm(x{0},w)"},
    "factors": {"step": "u{0} = Gemm<alpha=0.5,beta=2.0>(x{0},w,b)"},
    "the other way around": {"step": "u{0} = Gemm<transB=1>(x{0},w,b)", "w": (5, 6)},
    "MatMul": {"step": "u{0} = MatMul(x{0},w)"},
    "several rows": {"count": LEAST_ROWS // MOST_ROWS, "rows": MOST_ROWS},
    "more axes": {
        "step": "a{0} = Unsqueeze(x{0},i)\n c{0} = MatMul(a{0},w)\n u{0} = Squeeze(c{0},i)",
        "i": np.array([1]),
    },
}  # fmt: skip


@pytest.mark.parametrize("case", STEPS.values(), ids=STEPS)
def test_one_product(case: dict[str, object]) -> None:
    model = steps(**case)  # type: ignore[arg-type]
    found = batched(model)
    assert found.count("Gemm") + found.count("MatMul") == 1
    assert_equal(compile_(model), model)


def test_packed_weights() -> None:
    model = steps(w=pruned(6, 5))
    packed = run_pass(PackWeights(layout="rows"), model).model
    assert batched(packed).count("PackedGemm") == 1
    assert_equal(compile_(packed), model)


APART: dict[str, tuple[dict[str, object], int]] = {
    "too few": ({"count": LEAST_ROWS - 1}, LEAST_ROWS - 1),
    "many rows each": ({"rows": MOST_ROWS + 1}, LEAST_ROWS),
    "a row of bias for each row": ({"rows": 2, "b": (2, 5)}, LEAST_ROWS),
    "other factors": ({"step": "u{0} = Gemm<alpha={0}.0>(x{0},w,b)"}, LEAST_ROWS),
    "a computed bias": ({"step": "u{0} = Gemm(x{0},w,d)"}, LEAST_ROWS),
    "columns": ({"rows": 4, "step": "u{0} = Gemm<transA=1>(x{0},w)", "w": (4, 5)}, LEAST_ROWS),
    "a weight for each batch": (
        {"step": "c{0} = MatMul(x{0},w)\n u{0} = ReduceSum<keepdims=0>(c{0},i)", "w": (2, 6, 5), "i": np.array([0])},
        LEAST_ROWS,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("case", "products"), APART.values(), ids=APART)
def test_products_that_stay_apart(case: dict[str, object], products: int) -> None:
    found = batched(steps(**case))  # type: ignore[arg-type]
    assert found.count("Gemm") + found.count("MatMul") == products


def test_what_needs_another_stays_behind() -> None:
    """Of a loop written out, the products of inputs are one; those of states follow one another."""
    count = LEAST_ROWS
    text = "\n".join(
        f"u{t} = MatMul(x{t},w)\n v{t} = MatMul(h{t},r)\n s{t} = Add(u{t},v{t})\n h{t + 1} = Tanh(s{t})"
        for t in range(count)
    )
    parts = ",".join(f"x{t}" for t in range(count))
    model = parse(
        f"""g (float[{count},6] x, float[1,5] h0) => (float[1,5] h{count}) {{
        {parts} = Split<axis=0,num_outputs={count}>(x)\n {text} }}""",
        {"w": (6, 5), "r": (5, 5)},
    )
    assert batched(model).count("MatMul") == 1 + count
    session = compile_(model)
    assert "concat" not in {call.kernel for call in session.calls}, "the rows lie one after another in x"
    assert_equal(session, model)


def test_two_weights_in_turns() -> None:
    """Each of two kinds could be batched, but not both: one of the first needs one of the second, and the reverse."""
    half = LEAST_ROWS
    first = [f"a{t} = MatMul(x{t},w)\n b{t} = MatMul(a{t},r)" for t in range(half)]
    second = [f"b{t} = MatMul(x{t},r)\n a{t} = MatMul(b{t},w)" for t in range(half, 2 * half)]
    ends = [f"b{t}" for t in range(half)] + [f"a{t}" for t in range(half, 2 * half)]
    model = parse(
        f"""g (float[{2 * half},6] x) => (float[{2 * half},6] y) {{
        {",".join(f"x{t}" for t in range(2 * half))} = Split<axis=0,num_outputs={2 * half}>(x)
        {chr(10).join([*first, *second])}
        y = Concat<axis=0>({",".join(ends)}) }}""",
        {"w": (6, 6), "r": (6, 6)},
    )
    assert batched(model).count("MatMul") < 2 * 2 * half
    assert_equal(compile_(model), model)


def test_outputs_of_the_graph() -> None:
    count = LEAST_ROWS
    ends = ", ".join(f"float[1,5] u{t}" for t in range(count))
    text = "\n".join(f"u{t} = MatMul(x{t},w)" for t in range(count))
    parts = ",".join(f"x{t}" for t in range(count))
    model = parse(
        f"g (float[{count},6] x) => ({ends}) {{ {parts} = Split<axis=0,num_outputs={count}>(x)\n {text} }}",
        {"w": (6, 5)},
    )
    assert batched(model).count("MatMul") == 1
    assert_equal(compile_(model), model)
