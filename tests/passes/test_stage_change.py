"""A change of stage is reported where nothing else changed."""

from graphprune.diagnostics import Rewrite
from graphprune.passes.stage_change import with_stage_change
from graphprune.stages.stage import Stage
from tests.weighted import weighted_model

MODEL = weighted_model("main (float[2] x) => (float[2] y) { y = Neg (x) }")


def test_it_is_reported_alone() -> None:
    assert with_stage_change(MODEL, Stage.SPARSE, []) == (Rewrite("stage", "main", "dense to sparse"),)


def test_other_rewrites_speak_for_themselves() -> None:
    rewrites = [Rewrite("rows", "w", "packed")]
    assert with_stage_change(MODEL, Stage.SPARSE, rewrites) == tuple(rewrites)


def test_the_same_stage_is_no_change() -> None:
    assert with_stage_change(MODEL, Stage.DENSE, []) == ()
