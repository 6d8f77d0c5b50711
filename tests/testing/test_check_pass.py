"""The harness is judged by passes that are wrong on purpose: each must fail, and for the right reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.diagnostics import Rewrite
from graphprune.errors import PreconditionError
from graphprune.passes.base import Equivalence, Pass, PassOutcome, PassResult, run_pass
from graphprune.stages.stage import Stage, set_stage
from graphprune.testing import check_pass as harness
from graphprune.testing.check_pass import CheckError, canonical_text, check_pass, open_feeds

# The last two of four channels of `first` are zero: a right pass may cut both of them.
TEXT = """
<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>
main (float[n,3,5,5] x) => (float[n,2,5,5] y) {
    [first] h = Conv (x, a)
    [relu] r = Relu (h)
    [second] y = Conv (r, b)
}
"""


def model() -> ir.Model:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 3, 1, 1)).astype(np.float32)
    a[2:] = 0
    b = rng.standard_normal((2, 4, 1, 1)).astype(np.float32)
    found = ir.from_onnx_text(TEXT.replace("float[n,3,5,5] x", "float[n,3,5,5] x, float[4,3,1,1] a, float[2,4,1,1] b"))
    for value, array in zip([found.graph.inputs.pop(), found.graph.inputs.pop()], [b, a], strict=True):
        value.const_value = ir.tensor(array, name=value.name)
        found.graph.register_initializer(value)
    return found


def weight(found: ir.Model, name: str) -> np.ndarray:
    tensor = found.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


def set_weight(found: ir.Model, name: str, array: np.ndarray) -> None:
    found.graph.initializers[name].const_value = ir.tensor(array, name=name)


@dataclass(frozen=True)
class Wrong(Pass):
    """Runs a function, and reports a rewrite if it returns True."""

    name: ClassVar[str] = "wrong"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED
    action: Callable[[ir.Model], bool]

    def apply(self, found: ir.Model) -> PassOutcome:
        return PassOutcome((Rewrite("wrong", "a", "b"),)) if self.action(found) else PassOutcome()


@dataclass(frozen=True)
class WrongExact(Wrong):
    name: ClassVar[str] = "wrong-exact"
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT


@dataclass(frozen=True)
class WrongLossy(Wrong):
    name: ClassVar[str] = "wrong-lossy"
    equivalence: ClassVar[Equivalence] = Equivalence.LOSSY


@dataclass(frozen=True)
class WrongMasked(Wrong):
    name: ClassVar[str] = "wrong-masked"
    equivalence: ClassVar[Equivalence] = Equivalence.MASKED


@dataclass(frozen=True)
class WrongStage(Wrong):
    name: ClassVar[str] = "wrong-stage"
    produces: ClassVar[Stage | None] = Stage.DENSE


def once(change: Callable[[ir.Model], None]) -> Callable[[ir.Model], bool]:
    """Make a change that a second run does not repeat: the first convolution states its group from then on."""

    def action(found: ir.Model) -> bool:
        if "group" in found.graph[0].attributes:
            return False
        change(found)
        found.graph[0].attributes["group"] = ir.AttrInt64("group", 1)
        return True

    return action


def always(found: ir.Model) -> bool:
    scale_output(2)(found)
    return True


def silently(found: ir.Model) -> bool:
    once(nothing)(found)
    return False


def cut(kept: int) -> Callable[[ir.Model], None]:
    def change(found: ir.Model) -> None:
        set_weight(found, "a", weight(found, "a")[:kept])
        set_weight(found, "b", weight(found, "b")[:, :kept])

    return change


def scale_output(factor: float) -> Callable[[ir.Model], None]:
    def change(found: ir.Model) -> None:
        set_weight(found, "b", weight(found, "b") * weight(found, "b").dtype.type(factor))

    return change


def permute(found: ir.Model) -> None:
    set_weight(found, "a", weight(found, "a")[[1, 0, 2, 3]])


def permute_outputs(found: ir.Model) -> None:
    set_weight(found, "b", weight(found, "b")[[1, 0]])


def write_in_place(found: ir.Model) -> None:
    weight(found, "a")[0] *= 2


def leave_stale_output(found: ir.Model) -> None:
    found.graph[2].attributes["strides"] = ir.AttrInt64s("strides", [2, 2])


def cut_the_output(found: ir.Model) -> None:
    set_weight(found, "b", weight(found, "b")[:1])


def rename_output(found: ir.Model) -> None:
    found.graph.outputs[0].name = "z"


def call_packed(found: ir.Model) -> None:
    found.graph[1].domain = "graphprune"
    found.graph[1].op_type = "PackedRelu"


def change_stage(found: ir.Model) -> None:
    set_stage(found, Stage.SPARSE)


def nothing(_: ir.Model) -> None:
    return


def mutate_shared_type(found: ir.Model) -> None:
    found.graph.outputs[0].dtype = ir.DataType.DOUBLE


@pytest.mark.parametrize("kind", [Wrong, WrongLossy])
def test_a_right_pass_is_accepted(kind: type[Wrong]) -> None:
    result = check_pass(kind(once(cut(2))), model())
    assert result.changed


def test_an_exact_pass_is_accepted() -> None:
    assert check_pass(WrongExact(once(nothing)), model()).changed


@pytest.mark.parametrize(
    ("pass_", "check", "message"),
    [
        (Wrong(once(scale_output(2))), "numerics", "allowed rtol 1e-05"),
        (WrongExact(once(scale_output(2))), "numerics", "not bitwise equal"),
        (WrongExact(once(scale_output(1 + 2e-7))), "numerics", "not bitwise equal"),
        (Wrong(once(scale_output(1 + 2e-6))), "numerics", "in float64"),
        (Wrong(once(scale_output(float("nan")))), "numerics", "is nan, expected"),
        (Wrong(once(cut(1))), "numerics", "output 'y'"),
        (Wrong(once(permute)), "numerics", "output 'y'"),
        (Wrong(once(permute_outputs)), "numerics", "output 'y'"),
        (Wrong(once(write_in_place)), "untouched", "wrote into its input"),
        (Wrong(once(mutate_shared_type)), "contract", r"unsound graph: shapes do not fit.*GP271"),
        (Wrong(once(leave_stale_output)), "contract", r"unsound graph: shapes do not fit.*GP271"),
        (WrongLossy(once(cut_the_output)), "contract", r"unsound graph: shapes do not fit.*GP271"),
        (WrongLossy(once(rename_output)), "contract", r"output 'z' was named 'y' \[GP272\]"),
        (WrongStage(once(call_packed)), "contract", r"legal-calls: node 'relu' \(PackedRelu\).*GP273"),
        (Wrong(once(change_stage)), "stage", "is in stage sparse, expected dense"),
        (WrongLossy(always), "fixpoint", "a second run changes"),
        (Wrong(silently), "report", "changed, but 0 rewrites"),
        (Wrong(lambda _: True), "report", "did not change, but 1 rewrites"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_pass_fails_for_the_right_reason(pass_: Pass, check: str, message: str) -> None:
    with pytest.raises(CheckError, match=message) as failure:
        check_pass(pass_, model())
    assert failure.value.check == check


def claim_no_change(result: PassResult) -> PassResult:
    return replace(result, changed=False)


def stale_shape(result: PassResult) -> PassResult:
    result.model.graph[0].outputs[0].shape = ir.Shape([1, 9, 5, 5])
    return result


@pytest.mark.parametrize(("corrupt", "check"), [(claim_no_change, "changed"), (stale_shape, "shapes")])
def test_the_runner_is_not_believed(
    corrupt: Callable[[PassResult], PassResult], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "run_pass", lambda pass_, found: corrupt(run_pass(pass_, found)))
    monkeypatch.setattr(harness, "_check_fixpoint", lambda _pass, _found: None)
    with pytest.raises(CheckError) as failure:
        check_pass(Wrong(once(nothing)), model())
    assert failure.value.check == check


def test_the_text_is_compared() -> None:
    expected = model()
    with pytest.raises(
        CheckError, match=r"(?s)wrong: text: .*-.*Conv \(x, a\).*\+.*Conv <group: int = 1> \(x, a\)"
    ) as failure:
        check_pass(Wrong(once(nothing)), model(), expected)
    assert failure.value.check == "text"


def test_an_expected_text_is_accepted() -> None:
    check_pass(Wrong(lambda _: False), model(), canonical_text(model()))


def test_a_masked_pass_is_compared_with_its_reference() -> None:
    masked = model()
    scale_output(0.5)(masked)
    check_pass(WrongMasked(once(scale_output(0.5))), model(), reference=masked)
    with pytest.raises(CheckError, match="numerics"):
        check_pass(WrongMasked(once(scale_output(0.6))), model(), reference=masked)


@pytest.mark.parametrize("kind", [WrongMasked, Wrong])
def test_a_reference_belongs_to_masked_passes(kind: type[Wrong]) -> None:
    reference = None if kind is WrongMasked else model()
    with pytest.raises(ValueError, match="a reference model belongs to masked passes, and only to them"):
        check_pass(kind(once(nothing)), model(), reference=reference)


def test_given_cases_are_used() -> None:
    zeros = {"x": np.zeros((1, 3, 5, 5), np.float32)}
    check_pass(Wrong(once(scale_output(2))), model(), cases=[zeros])


def test_a_refusal_of_the_input_passes_through() -> None:
    @dataclass(frozen=True)
    class OnlyPacked(Wrong):
        name: ClassVar[str] = "only-packed"
        consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.PACKED})

    with pytest.raises(PreconditionError, match="GP255"):
        check_pass(OnlyPacked(lambda _: False), model())


def test_open_dimensions_of_one_name_get_one_extent() -> None:
    found = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 18]> m (float[n,k] x, float[k] z) => (float[n,k] y) { y = Add (x, z) }'
    )
    feed = open_feeds(found, 1)[0]
    assert feed["x"].shape == (2, 3)
    assert feed["z"].shape == (3,)
