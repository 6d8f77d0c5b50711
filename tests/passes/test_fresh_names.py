"""Names that nothing has yet."""

from graphprune.passes.fresh_names import FreshNames
from tests.weighted import weighted_model

TEXT = """main (bool c, float[2] x, float[2] w) => (float[2] y) {
    y = If (c) <
        then_branch = yes () => (float[2] a) { a = Add (x, w) },
        else_branch = no () => (float[2] b) { b = Neg (x) }
    >
}"""


def test_a_free_name_is_given_once() -> None:
    names = FreshNames(weighted_model(TEXT))
    assert [names.take("new"), names.take("new"), names.take("new")] == ["new", "new_1", "new_2"]


def test_inputs_initializers_outputs_and_values_of_subgraphs_are_taken() -> None:
    names = FreshNames(weighted_model(TEXT))
    assert [names.take(name) for name in ("x", "w", "y", "a")] == ["x_1", "w_1", "y_1", "a_1"]
