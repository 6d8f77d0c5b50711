from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError, VerificationError
from graphprune.frontends.onnx_file import save
from graphprune.verification import sides
from graphprune.verification.verifier import verify
from graphprune_runtime.interface import Session, TensorInfo

TWO_LAYERS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[batch,3] x) => (float[batch,2] y, float[batch,4] h)
<float[3,4] w1 = {0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1,1.1,1.2},
 float[4,2] w2 = {0.1,-0.2,0.3,-0.4,0.5,-0.6,0.7,-0.8}> {
    [first] a = MatMul(x, w1)
    [second] h = Sigmoid(a)
    [third] b = MatMul(h, w2)
    [fourth] y = Tanh(b)
}"""


def model(old: str = "", new: str = "") -> ir.Model:
    """The two-layer model, with one piece of its text replaced."""
    assert not old or TWO_LAYERS.count(old) == 1
    return ir.from_onnx_text(TWO_LAYERS.replace(old, new) if old else TWO_LAYERS)


@dataclass
class Tampered:
    """A session whose results are changed before they are handed out."""

    session: Session
    change: Callable[[list[np.ndarray]], list[np.ndarray]]

    def run(self, names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self.change([array.copy() for array in self.session.run(names, feed)])

    def get_inputs(self) -> list[TensorInfo]:
        return self.session.get_inputs()

    def get_outputs(self) -> list[TensorInfo]:
        return self.session.get_outputs()

    def save(self, path: str | PathLike[str]) -> None:
        self.session.save(path)


def one_element(arrays: list[np.ndarray]) -> list[np.ndarray]:
    arrays[1][0, 2] += 1e-3
    return arrays


def one_nan(arrays: list[np.ndarray]) -> list[np.ndarray]:
    arrays[0][0, 0] = np.nan
    return arrays


def doubled(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [2 * array for array in arrays]


def permuted(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array[:, ::-1] for array in arrays]


def swapped(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return arrays[::-1]


def cut(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array[:, :1] for array in arrays]


def double_precision(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array.astype("float64") for array in arrays]


def test_a_model_equals_itself() -> None:
    report = verify(model(), model())
    assert report.passed
    report.raise_for_failure()
    assert (report.cases, report.warnings, report.first_difference) == (3, (), None)
    assert [output.name for output in report.outputs] == ["y", "h"]
    assert all(output.difference.max_abs_reference > 0 for output in report.outputs)


def test_every_kind_of_side_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(model(), path)
    every = [path, str(path), model(), session_for(model()), ort.InferenceSession(str(path))]
    for side in every:
        assert verify(model(), side, cases=1).passed
        assert verify(side, model(), cases=1).passed


def test_rounding_is_tolerated() -> None:
    assert verify(model(), Tampered(session_for(model()), lambda arrays: [a * (1 + 1e-6) for a in arrays])).passed


@pytest.mark.parametrize(
    ("change", "output", "reason"),
    [
        (one_element, "h", r"differs in 3 of 4 elements|differs in 1 of 4 elements, by at most 0.001"),
        (one_nan, "y", r"1 of them NaN or infinite on one side only"),
        (doubled, "y", r"differs in 2 of 2 elements"),
        (permuted, "y", r"differs in 2 of 2 elements"),
        (swapped, "y", r"has shape \[1, 4\], expected \[1, 2\]"),
        (cut, "y", r"has shape \[1, 1\], expected \[1, 2\]"),
        (double_precision, "y", r"has dtype float64, expected float32"),
    ],
)
def test_a_wrong_candidate_fails(
    change: Callable[[list[np.ndarray]], list[np.ndarray]], output: str, reason: str
) -> None:
    report = verify(model(), Tampered(session_for(model()), change))
    assert not report.passed
    with pytest.raises(VerificationError, match=rf"^output '{output}' .*({reason}).*\[GP561\]$"):
        report.raise_for_failure()


def test_an_error_in_one_case_only_fails() -> None:
    calls: list[int] = []

    def last_case(arrays: list[np.ndarray]) -> list[np.ndarray]:
        calls.append(1)
        return doubled(arrays) if len(calls) == 3 else arrays

    report = verify(model(), Tampered(session_for(model()), last_case))
    assert not report.passed
    assert report.outputs[0].difference.mismatches == 2


def test_the_first_node_that_differs_is_named() -> None:
    report = verify(model(), model("0.3,-0.4,0.5", "0.3,-0.4,0.6"))
    assert not report.passed
    assert report.first_difference is not None
    assert (report.first_difference.node, report.first_difference.value) == ("third", "b")
    with pytest.raises(VerificationError, match=r"the first node to differ is 'third' \(MatMul\) \[GP561\]"):
        report.raise_for_failure()


def test_a_renamed_value_does_not_hide_the_difference() -> None:
    other = (
        TWO_LAYERS.replace("[first] a =", "[first] q =")
        .replace("Sigmoid(a)", "Sigmoid(q)")
        .replace("{0.1,0.2", "{9,0.2")
    )
    report = verify(model(), ir.from_onnx_text(other))
    assert report.first_difference is not None
    assert report.first_difference.node == "second"


def test_no_node_is_named_where_only_sessions_are_known() -> None:
    report = verify(model(), Tampered(session_for(model()), doubled))
    assert report.first_difference is None


def test_cases_differ_and_repeat() -> None:
    seen: list[np.ndarray] = []

    def record(arrays: list[np.ndarray]) -> list[np.ndarray]:
        seen.append(arrays[0])
        return arrays

    for _ in range(2):
        verify(model(), Tampered(session_for(model()), record), cases=2, seed=7)
    assert np.array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], seen[1])


def test_progress_counts_cases() -> None:
    done: list[int] = []
    verify(model(), model(), cases=2, on_case=done.append)
    assert done == [1, 2]


def test_open_dimensions_take_the_shape_given() -> None:
    shapes: list[tuple[int, ...]] = []

    def record(arrays: list[np.ndarray]) -> list[np.ndarray]:
        shapes.append(arrays[0].shape)
        return arrays

    verify(model(), Tampered(session_for(model()), record), cases=1, input_shapes={"x": (5, 3)})
    assert shapes == [(5, 2)]


def test_an_extent_fixed_on_one_side_is_used() -> None:
    assert verify(model(), model("float[batch,3] x", "float[4,3] x"), cases=1).passed


ZEROS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2] x) => (float[2] y) <float[1] zero = {0}> { y = Mul(x, zero) }"""


def test_nothing_but_zeros_is_a_failure() -> None:
    report = verify(ir.from_onnx_text(ZEROS), ir.from_onnx_text(ZEROS))
    assert not report.passed
    with pytest.raises(VerificationError, match=r"output 'y' is zero, NaN, empty or lost in rounding in every"):
        report.raise_for_failure()


def test_nothing_but_nan_is_a_failure() -> None:
    text = ZEROS.replace("Mul(x, zero)", "Div(zero, zero)").replace("float[2] y", "float[1] y")
    assert not verify(ir.from_onnx_text(text), ir.from_onnx_text(text)).passed


def test_a_constant_output_is_warned_about() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (float[2] x) => (float[2] y, float[2] z) <float[1] zero = {0}, float[1] one = {1}> {
        flat = Mul(x, zero)
        y = Add(flat, one)
        z = Neg(x)
    }"""
    report = verify(ir.from_onnx_text(text), ir.from_onnx_text(text))
    assert report.passed
    assert [output.is_constant for output in report.outputs] == [True, False]
    assert report.warnings == ("output 'y' is constant over all cases, so nothing was compared",)


def test_an_output_that_does_not_depend_on_the_input_is_constant_though_its_elements_differ() -> None:
    text = ZEROS.replace("float[1] zero = {0}", "float[2] zero = {0, 0}, float[2] b = {1, 2}")
    graph = ir.from_onnx_text(text.replace("y = Mul(x, zero)", "a = Mul(x, zero) y = Add(a, b)"))
    assert verify(graph, graph).outputs[0].is_constant
    assert not verify(graph, graph, cases=1).outputs[0].is_constant


def test_an_output_of_one_value_a_case_is_not_constant_where_the_cases_differ() -> None:
    graph = ir.from_onnx_text(ZEROS.replace("float[2]", "float[1]").replace("{0}", "{2}"))
    assert verify(graph, graph).warnings == ()
    assert verify(graph, graph, cases=1).outputs[0].is_constant


def test_indices_stay_in_the_smaller_of_both_tables() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (int64[50] ids) => (float[50] y) <float[ROWS] table = {VALUES}> { y = Gather(table, ids) }"""
    few, many = (
        ir.from_onnx_text(text.replace("ROWS", str(rows)).replace("VALUES", ",".join(map(str, range(rows)))))
        for rows in (3, 9)
    )
    assert verify(few, many).passed
    assert verify(many, few).passed


def test_every_set_of_shapes_has_its_turn() -> None:
    shapes: list[tuple[int, ...]] = []

    def record(arrays: list[np.ndarray]) -> list[np.ndarray]:
        shapes.append(arrays[0].shape)
        return arrays

    session = Tampered(session_for(model()), record)
    assert verify(model(), session, cases=1, input_shapes={"x": [(5, 3), (2, 3)]}).cases == 2
    assert shapes == [(5, 2), (2, 2)]


def test_the_first_sample_that_fails_is_searched_for_the_node() -> None:
    text = ZEROS.replace("y = Mul(x, zero)", "[cut] y = Clip(x, zero, most)")
    one, other = (
        ir.from_onnx_text(text.replace("float[1] zero = {0}", f"float zero = {{0}}, float most = {{{most}}}"))
        for most in (9, 2)
    )
    samples = [{"x": np.full(2, value, "float32")} for value in (1, 3, 5)]
    report = verify(one, other, samples=samples)
    assert report.first_difference is not None
    assert (report.first_difference.node, report.first_difference.max_abs_error) == ("cut", 1.0)
    assert (report.cases, report.seed) == (3, None)


def test_no_side_is_optimised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def recorded(name: str) -> Callable[..., Session]:
        make = getattr(sides, name)

        def opened(*arguments: object, **options: object) -> Session:
            asked.append(options.get("optimize"))
            return make(*arguments, **options)  # type: ignore[no-any-return] # it opens a session

        return opened

    for name in ("session_for", "session_for_file"):
        monkeypatch.setattr(sides, name, recorded(name))
    save(model(), tmp_path / "m.onnx")
    assert verify(model(), tmp_path / "m.onnx", cases=1).passed
    assert asked == [False, False]


SIGMOIDS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[4] x) => (float[4] y, float[4] z) <float[1] far = {-26}> {
    a = Add(x, far)
    y = Sigmoid(a)
    z = Neg(x)
}"""


def raised(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [arrays[0] + np.float32(5e-12), *arrays[1:]]


def test_where_a_sigmoid_underflows_nothing_is_compared_and_that_is_said() -> None:
    graph = ir.from_onnx_text(SIGMOIDS)
    report = verify(graph, Tampered(session_for(graph), raised))
    assert report.passed
    assert report.warnings[0].startswith("output 'y' is zero, NaN, empty or lost in rounding in every case")
    assert len(report.warnings) == 1
    alone = ir.from_onnx_text(SIGMOIDS.replace(", float[4] z", ""))
    assert not verify(alone, Tampered(session_for(alone), raised)).passed


def test_a_small_error_of_what_no_sigmoid_made_is_none_of_rounding() -> None:
    graph = ir.from_onnx_text(SIGMOIDS.replace("y = Sigmoid(a)", "y = Sub(a, a)"))
    assert verify(graph, Tampered(session_for(graph), raised)).outputs[0].difference.mismatches == 12


def test_a_given_absolute_tolerance_has_no_floor() -> None:
    graph = ir.from_onnx_text(SIGMOIDS)
    assert not verify(graph, Tampered(session_for(graph), raised), atol=0.0).passed


def shifted(size: float) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    return lambda arrays: [array + array.dtype.type(size) for array in arrays]


HALF = """<ir_version: 10, opset_import: ["" : 20]>
g (float[8] x) => (float[8] y) { h = Cast<to = 10>(x) k = Mul(h, h) y = Cast<to = 1>(k) }"""


def test_a_single_precision_output_that_was_computed_in_half_is_held_to_half() -> None:
    half, single = ir.from_onnx_text(HALF), ir.from_onnx_text(HALF.replace("<to = 10>", "<to = 1>"))
    assert verify(half, Tampered(session_for(half), shifted(1e-3))).passed
    assert not verify(half, Tampered(session_for(half), shifted(1e-1))).passed
    assert not verify(single, Tampered(session_for(single), shifted(1e-3))).passed


def test_the_first_node_to_differ_is_held_to_how_it_was_computed() -> None:
    one, next_to_one = 0x3C00, 0x3C02  # the bits of float16
    body = HALF.replace("k = Mul(h, h)", "k = Mul(h, near) f = Cast<to = 1>(k) q = Mul(f, far)")
    body = body.replace("Cast<to = 1>(k) }", "Neg(q) }")

    def scaled(near: int, far: int) -> ir.Model:
        values = f"<float16[1] near = {{{near}}}, float[1] far = {{{far}}}>"
        return ir.from_onnx_text(body.replace(") {", f") {values} {{"))

    report = verify(scaled(one, 1), scaled(next_to_one, 2))
    assert report.first_difference is not None
    assert report.first_difference.value == "q"


def test_errors_are_told_in_units_of_the_spread_of_the_output() -> None:
    graph = ir.from_onnx_text(SIGMOIDS.replace("Sigmoid(a)", "Identity(a)"))
    found = verify(graph, Tampered(session_for(graph), shifted(0.5)), cases=1).outputs[1].difference.max_spread_error
    assert found is not None
    assert 0.2 < found < 2
    worst = [
        verify(graph, Tampered(session_for(graph), shifted(0.5)), seed=seed, cases=1).outputs[1] for seed in range(3)
    ]
    several = verify(graph, Tampered(session_for(graph), shifted(0.5))).outputs[1].difference.max_spread_error
    assert several == max(each.difference.max_spread_error or 0 for each in worst)


def test_token_ids_stay_in_the_table_although_the_candidate_is_a_session() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (int64[1,20] ids) => (float[1,20,2] y) <float[3,2] table = {1,2,3,4,5,6}> { y = Gather(table, ids) }"""
    graph = ir.from_onnx_text(text)
    report = verify(graph, session_for(graph))
    assert report.passed
    assert report.outputs[0].difference.max_abs_reference == 6


def test_a_report_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"use \.passed"):
        bool(verify(model(), model(), cases=1))


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (
            model("float[batch,3] x", "float[batch,3] x, float[1] z"),
            r"inputs are \['x', 'z'\], expected \['x'\] .*GP564",
        ),
        (model("float[batch,2] y, float[batch,4] h", "float[batch,4] h, float[batch,2] y"), r"outputs are .*GP565"),
        (model("float[batch,2] y, ", ""), r"outputs are \['h'\], expected \['y', 'h'\] as in the reference \[GP565\]"),
    ],
)
def test_different_interfaces_cannot_be_compared(candidate: ir.Model, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        verify(model(), candidate)


def test_inputs_of_other_extents_cannot_be_compared() -> None:
    one, other = (ir.from_onnx_text(ZEROS.replace("float[2]", f"float[{size}]")) for size in (2, 3))
    with pytest.raises(VerificationError, match=r"input is x: float32\[3\], expected x: float32\[2\] .* \[GP564\]"):
        verify(one, other)


def test_no_case_is_refused() -> None:
    with pytest.raises(InputError, match=r"cases is 0, expected at least 1 \[GP563\]"):
        verify(model(), model(), cases=0)


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"candidate is a int, expected a path, an onnx_ir.Model or a session \[GP566\]"
    ):
        verify(model(), 3)  # type: ignore[arg-type]
