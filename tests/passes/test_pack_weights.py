"""Packing and unpacking: text, numbers, and what is not packed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError, PreconditionError
from graphprune.packed.calls import is_packed_call, read_call
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.registry import parse_pass
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.testing.check_pass import canonical_text, check_pass
from tests.weighted import weight_of, weighted_model

CONV = "main (float[N,8,7,8] x, float[6,8,3,3] w, float[6] b) => (float[N,6,P,Q] y) {{ y = Conv <{}> (x, w, b) }}"
GEMM = "main (float[N,9] x, float[{}] w, float[5] b) => (float[N,5] y) {{ y = Gemm <{}> (x, w, b) }}"
ROUND_TRIP = {
    "convolution": CONV.format("strides = [2, 1], dilations = [1, 1], pads = [1, 0, 1, 2], group = 1"),
    "convolution, dilated": CONV.format("strides = [1, 1], dilations = [2, 1], pads = [0, 0, 0, 0], group = 1"),
    "matmul": "main (float[B,S,9] x, float[9,5] w) => (float[B,S,5] y) { y = MatMul (x, w) }",
    "matmul of a vector": "main (float[9] x, float[9,5] w) => (float[5] y) { y = MatMul (x, w) }",
    "matmul to one feature": "main (float[N,9] x, float[9,1] w) => (float[N,1] y) { y = MatMul (x, w) }",
    "linear as torch exports it": """main (float[N,9] x, float[5,9] w) => (float[N,5] y) {
        [w_transposed] w_transposed = Transpose <perm = [1, 0]> (w)
        y = MatMul (x, w_transposed)
    }""",
    "gemm": GEMM.format("9,5", "alpha = 0.5, beta = 2.0, transB = 0"),
    "gemm transB": GEMM.format("5,9", "alpha = 1.0, beta = 1.0, transB = 1"),
    "gemm without bias": """main (float[N,9] x, float[5,9] w) => (float[N,5] y) {
        y = Gemm <alpha = 2.0, beta = 1.0, transB = 1> (x, w)
    }""",
    "shared": """main (float[N,5] x, float[5,5] w) => (float[N,5] y) {
        a = MatMul (x, w)
        b = Relu (a)
        y = MatMul (b, w)
    }""",
    "beside an unused function": """<ir_version: 10, opset_import: ["" : 18, "my" : 1]>
        main (float[N,9] x, float[9,5] w) => (float[N,5] y) { a = MatMul (x, w) y = my.Negative (a) }
        <domain: "my", opset_import: ["" : 18]>
        Negative (a) => (b) { b = Neg (a) }""",
}
OTHER_FORMS = {
    "one-dimensional convolution": "main (float[N,8,9] x, float[4,8,3] w) => (float[N,4,7] y) { y = Conv (x, w) }",
    "three-dimensional convolution": (
        "main (float[N,2,5,5,5] x, float[4,2,3,3,3] w) => (float[N,4,3,3,3] y) { y = Conv (x, w) }"
    ),
    "few channels": "main (float[N,3,5,5] x, float[4,3,3,3] w) => (float[N,4,3,3] y) { y = Conv (x, w) }",
    "VALID": CONV.format('auto_pad = "VALID"'),
    "SAME_UPPER": CONV.format('auto_pad = "SAME_UPPER"'),
    "SAME_LOWER": CONV.format('auto_pad = "SAME_LOWER", kernel_shape = [3, 3]'),
    "SAME_UPPER with a stride": CONV.format('auto_pad = "SAME_UPPER", strides = [2, 3]'),
    "SAME_LOWER with a stride": CONV.format('auto_pad = "SAME_LOWER", strides = [2, 2]').replace("7,8]", "8,9]"),
    "convolution of a permuted weight": """main (float[N,8,5,5] x, float[3,3,8,6] w) => (float[N,6,3,3] y) {
        t = Transpose <perm = [3, 2, 0, 1]> (w)
        y = Conv (x, t)
    }""",
    "shared in two orientations": """main (float[N,5] x, float[5,5] w) => (float[N,5] y) {
        a = MatMul (x, w)
        y = Gemm <transB = 1> (a, w)
    }""",
    "through an identity": """main (float[N,9] x, float[9,5] w) => (float[N,5] y) {
        i = Identity (w)
        y = MatMul (x, i)
    }""",
}


def sparse(shape: tuple[int, ...], seed: int = 0, share: float = 0.8) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, 0, rng.standard_normal(shape)).astype(np.float32)


def sparse_model(text: str, seed: int = 0, share: float = 0.8) -> ir.Model:
    """A model whose `w` has many zeros."""
    shape = weight_of(weighted_model(text), "w").shape
    model = weighted_model(text, {"w": sparse(shape, seed, share)})
    set_stage(model, Stage.SPARSE)
    return model


def packed_calls(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph if is_packed_call(node)]


@pytest.mark.parametrize("share", [0.8, 1.0, 0.0], ids=["sparse", "all zeros", "no zeros"])
@pytest.mark.parametrize("text", [*ROUND_TRIP.values(), *OTHER_FORMS.values()], ids=[*ROUND_TRIP, *OTHER_FORMS])
def test_packed_computes_the_same(text: str, share: float) -> None:
    model = sparse_model(text, share=share)
    result = check_pass(PackWeights(min_sparsity=0.0, layout="rows"), model, cases=2)
    assert packed_calls(result.model)
    assert get_stage(result.model) is Stage.PACKED
    assert "w" not in result.model.graph.initializers


@pytest.mark.parametrize("text", ROUND_TRIP.values(), ids=ROUND_TRIP)
def test_unpacking_gives_the_same_text_back(text: str) -> None:
    model = sparse_model(text)
    packed = run_pass(PackWeights(layout="rows"), model).model
    result = check_pass(UnpackWeights(), packed, model)
    assert weight_of(result.model, "w").tobytes() == weight_of(model, "w").tobytes()


@pytest.mark.parametrize("text", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_unpacking_computes_the_same(text: str) -> None:
    packed = run_pass(PackWeights(min_sparsity=0.0, layout="rows"), sparse_model(text)).model
    result = check_pass(UnpackWeights(), packed, cases=2)
    assert get_stage(result.model) is Stage.SPARSE
    assert not result.model.functions
    assert "graphprune" not in result.model.graph.opset_imports


def test_the_file_runs_optimised_too() -> None:
    model = sparse_model(ROUND_TRIP["convolution"])
    packed = run_pass(PackWeights(layout="rows"), model).model
    feed = {"x": np.random.default_rng(1).standard_normal((2, 8, 7, 8)).astype(np.float32)}
    feed["b"] = np.ones(6, np.float32)
    expected, found = (session_for(each).run(None, feed)[0] for each in (model, packed))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_rewrite_says_what_it_saves() -> None:
    result = run_pass(PackWeights(layout="rows"), sparse_model(ROUND_TRIP["matmul"], share=1.0))
    assert [str(rewrite) for rewrite in result.rewrites] == ["rows: w: 0 of 45 elements stored, 24 bytes for 180"]


def test_a_shared_weight_is_stored_once() -> None:
    packed = run_pass(PackWeights(layout="rows"), sparse_model(ROUND_TRIP["shared"])).model
    assert sorted(packed.graph.initializers) == ["w_columns", "w_row_offsets", "w_values"]
    assert len(packed_calls(packed)) == 2


def test_two_orientations_are_stored_twice() -> None:
    packed = run_pass(PackWeights(layout="rows"), sparse_model(OTHER_FORMS["shared in two orientations"])).model
    assert {"w_values", "w_values_1"} <= set(packed.graph.initializers)


def test_names_that_are_taken_are_left_alone() -> None:
    text = "main (float[N,9] x, float[9,5] w) => (float[N,5] y) { w_values = MatMul (x, w) y = Neg (w_values) }"
    packed = check_pass(PackWeights(layout="rows"), sparse_model(text)).model
    assert "w_values_1" in packed.graph.initializers


def test_rows_are_output_features() -> None:
    model = sparse_model(ROUND_TRIP["matmul"])
    (node,) = packed_calls(run_pass(PackWeights(layout="rows"), model).model)
    np.testing.assert_array_equal(read_call(node).weight, weight_of(model, "w").T)


def test_node_keeps_its_name_and_says_who_made_it() -> None:
    text = "main (float[N,9] x, float[9,5] w) => (float[N,5] y) { [fc] y = MatMul (x, w) }"
    packed = run_pass(PackWeights(layout="rows"), sparse_model(text)).model
    (node,) = packed_calls(packed)
    assert (node.name, node.metadata_props["graphprune.pass"]) == ("fc", "pack-weights")
    (back,) = run_pass(UnpackWeights(), packed).model.graph
    assert (back.name, back.metadata_props) == ("fc", {"graphprune.pass": "unpack-weights"})


def test_without_its_record_a_weight_comes_back_as_the_operator_prefers() -> None:
    packed = run_pass(PackWeights(layout="rows"), sparse_model(ROUND_TRIP["linear as torch exports it"])).model
    packed_calls(packed)[0].metadata_props.clear()
    back = check_pass(UnpackWeights(), packed).model
    assert [node.op_type for node in back.graph] == ["MatMul"]


def test_a_file_of_another_tool_is_packed_as_it_is() -> None:
    model = sparse_model(ROUND_TRIP["matmul"])
    model.metadata_props.clear()
    assert packed_calls(check_pass(PackWeights(layout="rows"), model).model)


SKIPPED = {
    "GP340": (ROUND_TRIP["matmul"], 0.3, "w: 10 of 45 elements are zero, fewer than 60.0% [GP340]"),
    "GP341 left": (
        "main (float[9,N] x, float[5,9] w) => (float[5,N] y) { y = MatMul (w, x) }",
        0.8,
        "w: node 'y' (MatMul) multiplies by it from the left [GP341]",
    ),
    "GP341 transA": (
        "main (float[9,N] x, float[9,5] w) => (float[N,5] y) { y = Gemm <transA = 1> (x, w) }",
        0.8,
        "w: node 'y' (Gemm) has transA=1 [GP341]",
    ),
    "GP342": (
        CONV.format('auto_pad = "SAME_UPPER", strides = [2, 2]').replace("7,8]", "H,W]"),
        0.8,
        "w: node 'y' (Conv): its auto_pad gives no padding that is known [GP342]",
    ),
    "GP302": (
        "main (float[N,8,5,5] x, float[8,1,3,3] w) => (float[N,8,3,3] y) { y = Conv <group = 8> (x, w) }",
        0.8,
        "w: node 'y' (Conv) is depthwise, it has 8 groups [GP302]",
    ),
    "one reader of a shared weight": (
        """main (float[N,5] x, float[5,N] z, float[5,5] w) => (float[N,5] y, float[5,N] v) {
            y = MatMul (x, w)
            v = MatMul (w, z)
        }""",
        0.8,
        "w: node 'v' (MatMul) multiplies by it from the left [GP341]",
    ),
}


@pytest.mark.parametrize(("text", "share", "expected"), SKIPPED.values(), ids=SKIPPED)
def test_what_is_not_packed_says_why(text: str, share: float, expected: str) -> None:
    model = sparse_model(text, share=share)
    result = run_pass(PackWeights(layout="rows"), model)
    assert [str(skip) for skip in result.skips] == [expected]
    assert packed_calls(result.model) == []
    assert [rewrite.rule for rewrite in result.rewrites] == ["stage"]
    assert canonical_text(result.model).count("graphprune.") == 1  # the stage


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"pack-weights: min_sparsity is .*, expected 0 to 1 \[GP345\]"):
        PackWeights(min_sparsity=share)


def test_an_old_operator_set_is_refused() -> None:
    model = sparse_model('<ir_version: 8, opset_import: ["" : 15]>\n' + ROUND_TRIP["matmul"])
    with pytest.raises(PreconditionError, match=r"model has operator set 15, packed calls need 16 \[GP344\]"):
        run_pass(PackWeights(layout="rows"), model)


@pytest.mark.parametrize(("pass_", "stage"), [(PackWeights(), Stage.MASKED), (UnpackWeights(), Stage.SPARSE)])
def test_other_stages_are_refused(pass_: PackWeights | UnpackWeights, stage: Stage) -> None:
    model = sparse_model(ROUND_TRIP["matmul"])
    set_stage(model, stage)
    with pytest.raises(PreconditionError, match=r"model is in stage .* \[GP255\]"):
        run_pass(pass_, model)


@pytest.mark.parametrize("pass_", [PackWeights(), PackWeights(min_sparsity=0.75), UnpackWeights()])
def test_text_form_goes_both_ways(pass_: PackWeights | UnpackWeights) -> None:
    assert parse_pass(str(pass_)) == pass_


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.floats(0, 1), st.booleans(), st.integers(0, 99))
def test_any_matrix(rows: int, columns: int, batch: int, share: float, transposed: bool, seed: int) -> None:  # noqa: FBT001 - drawn
    shape = f"{rows},{columns}" if transposed else f"{columns},{rows}"
    head = f"main (float[N,{columns}] x, float[{shape}] w, float[{rows}] b) => (float[N,{rows}] y)"
    text = f"{head} {{ y = Gemm <transB = {int(transposed)}> (x, w, b) }}"
    model = sparse_model(text, seed, share)
    packed = run_pass(PackWeights(min_sparsity=0.0, layout="rows"), model).model
    rng = np.random.default_rng(seed)
    feed = {"x": rng.standard_normal((batch, columns)).astype(np.float32), "b": np.ones(rows, np.float32)}
    expected, found = (session_for(each, optimize=False).run(None, feed)[0] for each in (model, packed))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
