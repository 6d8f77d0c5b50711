"""The runner holds passes to their contract."""

import onnx_ir as ir
import pytest

from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError, PostconditionError, PreconditionError, UnsupportedModelError
from graphprune.passes.base import mark, refuse, run_pass
from graphprune.passes.registry import parse_pass, registered_passes
from graphprune.stages.stage import Stage, get_stage, set_stage
from tests.passes.toy import ToyDouble, ToyNeeds, toy

TEXT = """
<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>
main (float[1,2] x) => (float[1,2] y) <float[2] w = {1.0, 2.0}> { [mul] h = Mul (x, w) [relu] y = Relu (h) }
"""


@pytest.fixture
def model() -> ir.Model:
    return ir.from_onnx_text(TEXT)


def test_a_pass_gives_a_new_model_and_leaves_the_input_untouched(model: ir.Model) -> None:
    before = ir.to_onnx_text(model)
    result = run_pass(ToyDouble(), model)
    assert result.changed
    assert result.rewrites == (Rewrite("double", "all", "times 2.0"),)
    assert get_stage(result.model) is Stage.SPARSE
    assert result.model.graph.initializers["w"].const_value.numpy().tolist() == [2.0, 4.0]  # type: ignore[union-attr]
    assert ir.to_onnx_text(model) == before


def test_changed_is_measured_not_claimed(model: ir.Model) -> None:
    set_stage(model, Stage.SPARSE)
    result = run_pass(ToyDouble(factor=1.0), model)
    assert result.rewrites
    assert not result.changed


def test_a_pass_that_raises_leaves_the_input_untouched(model: ir.Model) -> None:
    def fail(clone: ir.Model) -> None:
        clone.graph[0].op_type = "Add"
        raise RuntimeError("half way")

    before = ir.to_onnx_text(model)
    with pytest.raises(RuntimeError, match="half way"):
        run_pass(toy(fail), model)
    assert ir.to_onnx_text(model) == before


def test_a_pass_that_writes_into_a_type_reaches_its_clone_only(model: ir.Model) -> None:
    def retype(clone: ir.Model) -> None:
        clone.graph.outputs[0].dtype = ir.DataType.DOUBLE  # onnx_ir writes into the type object

    with pytest.raises(PostconditionError, match="GP271"):
        run_pass(toy(retype), model)
    assert model.graph.outputs[0].dtype == ir.DataType.FLOAT


def test_the_wrong_stage_is_refused(model: ir.Model) -> None:
    set_stage(model, Stage.PACKED)
    with pytest.raises(
        PreconditionError, match=r"toy-double: model is in stage packed, expected dense or sparse \[GP255\]"
    ):
        run_pass(ToyDouble(), model)


def test_an_illegal_input_is_refused_before_the_pass_runs(model: ir.Model) -> None:
    model.graph[1].domain = "graphprune"
    with pytest.raises(UnsupportedModelError, match="GP252"):
        run_pass(ToyDouble(), model)


def test_an_unsound_input_is_not_blamed_on_the_pass(model: ir.Model) -> None:
    model.graph[1].attributes["slope"] = ir.AttrInt64("slope", 1)
    with pytest.raises(UnsupportedModelError, match=r"slope.*\[GP261\]"):
        run_pass(ToyDouble(), model)


def test_an_unsound_output_is_blamed_on_the_pass(model: ir.Model) -> None:
    def break_graph(clone: ir.Model) -> None:
        clone.graph[1].attributes["slope"] = ir.AttrInt64("slope", 1)

    with pytest.raises(PostconditionError, match=r"toy: the pass left an unsound graph: .*slope.*\[GP271\]"):
        run_pass(toy(break_graph), model)


def test_an_operator_that_nothing_defines_is_blamed_on_the_pass(model: ir.Model) -> None:
    def make_opaque(clone: ir.Model) -> None:
        clone.graph[1].op_type = "NoSuchOperator"

    with pytest.raises(PostconditionError, match=r"toy: the pass left an unsound graph: .*NoSuchOperator.*\[GP271\]"):
        run_pass(toy(make_opaque), model)


def test_an_illegal_form_is_blamed_on_the_pass(model: ir.Model) -> None:
    def call(clone: ir.Model) -> None:
        clone.graph[1].domain = "graphprune"

    with pytest.raises(PostconditionError, match=r"toy: the pass left an illegal form: legal-calls: .*\[GP273\]"):
        run_pass(toy(call), model)


def rename(clone: ir.Model) -> None:
    clone.graph.outputs[0].name = "z"


def test_a_changed_interface_is_blamed_on_the_pass(model: ir.Model) -> None:
    with pytest.raises(
        PostconditionError, match=r"toy: the pass changed the interface: output 'z' was named 'y' \[GP272\]"
    ):
        run_pass(toy(rename), model)


def test_a_declared_change_of_the_interface_is_accepted(model: ir.Model) -> None:
    assert run_pass(toy(rename, changes_interface=True), model).changed


def test_checks_of_legality_can_be_left_out(model: ir.Model) -> None:
    assert run_pass(toy(rename), model, verify=False).changed


@pytest.mark.parametrize("pass_", [ToyDouble(), ToyDouble(factor=0.5), ToyDouble(only=("a", "b c")), ToyNeeds(3)])
def test_the_text_form_reads_back(pass_: ToyDouble | ToyNeeds) -> None:
    assert parse_pass(str(pass_)) == pass_


def test_the_text_form_shows_what_differs_from_the_defaults() -> None:
    assert str(ToyDouble()) == "toy-double"
    assert str(ToyDouble(factor=0.5)) == "toy-double{factor=0.5}"
    assert str(ToyNeeds(3)) == "toy-needs{count=3}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toy-double{faktor=2}", r"toy-double: unknown option 'faktor', expected one of .*'factor'.* \[GP243\]"),
        ("toy-needs", r"toy-needs: option 'count' is missing \[GP243\]"),
        ("toy-triple", r"no pass is named 'toy-triple', did you mean 'toy-double'; there are .* \[GP242\]"),
        ("toy-double nonsense", r"expected the end at position 10 \[GP241\]"),
    ],
)
def test_a_wrong_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pass(text)


def test_passes_register_by_name() -> None:
    assert registered_passes()["toy-double"] is ToyDouble


def test_provenance_survives_serialisation(model: ir.Model) -> None:
    mark(model.graph[0], ToyDouble())
    assert ir.from_proto(ir.to_proto(model)).graph[0].metadata_props["graphprune.pass"] == "toy-double"


def test_a_skip_names_the_node(model: ir.Model) -> None:
    assert str(refuse("GP211", model.graph[0], "is shared")) == "mul: is shared [GP211]"
