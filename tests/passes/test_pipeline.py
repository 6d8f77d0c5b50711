"""Pipelines: order, accumulation, text form."""

import onnx_ir as ir
import pytest

from graphprune.errors import InputError, PreconditionError
from graphprune.passes.pipeline import Pipeline, compose, parse_pipeline
from graphprune.stages.stage import Stage, get_stage
from tests.passes.toy import ToyDouble, ToyNeeds, toy

TEXT = """
<ir_version: 10, opset_import: ["" : 18]>
main (float[1,2] x) => (float[1,2] y) <float[2] w = {1.0, 2.0}> { y = Mul (x, w) }
"""


def test_passes_run_in_order_and_their_reports_accumulate() -> None:
    model = ir.from_onnx_text(TEXT)
    result = Pipeline([ToyDouble(), ToyDouble(factor=0.25)]).run(model)
    assert result.changed
    assert [rewrite.detail for rewrite in result.rewrites] == ["times 2.0", "times 0.25"]
    assert result.model.graph.initializers["w"].const_value.numpy().tolist() == [0.5, 1.0]  # type: ignore[union-attr]
    assert get_stage(result.model) is Stage.SPARSE
    assert get_stage(model) is Stage.DENSE


def test_an_empty_pipeline_changes_nothing() -> None:
    model = ir.from_onnx_text(TEXT)
    result = Pipeline([]).run(model)
    assert not result.changed
    assert result.model is model


def test_an_impossible_order_is_refused_before_anything_runs() -> None:
    with pytest.raises(
        PreconditionError, match=r"toy-needs: the passes before it leave stage sparse, expected dense \[GP256\]"
    ):
        Pipeline([ToyDouble(), ToyNeeds(1)])


def test_a_pass_that_keeps_the_stage_narrows_what_is_possible() -> None:
    packing = toy(lambda _: None, produces=Stage.PACKED)
    with pytest.raises(PreconditionError, match="leave stage packed, expected dense or sparse"):
        Pipeline([ToyNeeds(1), packing, ToyDouble()])


def test_the_text_form_reads_back() -> None:
    pipeline = Pipeline([ToyNeeds(1), ToyDouble(only=("a,b", "c"))])
    assert str(pipeline) == 'toy-needs{count=1},toy-double{only=["a,b","c"]}'
    assert parse_pipeline(str(pipeline)) == pipeline
    assert hash(parse_pipeline(str(pipeline))) == hash(pipeline)
    assert repr(pipeline) == f"Pipeline({pipeline})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a pass name at position 0"),
        ("toy-double,", "expected a pass name at position 11"),
        ("toy-double;toy-double", "expected a comma at position 10"),
    ],
)
def test_a_wrong_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pipeline(text)


def test_channel_maps_compose() -> None:
    first = {"a": (0, 2, 3, 5), "b": (1,)}
    second = {"a": (1, 3), "c": (0, 4)}
    assert compose(first, second) == {"a": (2, 5), "b": (1,), "c": (0, 4)}
    assert compose(None, second) == second
    assert compose(first, None) == first
    assert compose(None, None) is None
