import numpy as np
import pytest

from graphprune.verification.comparison import Tolerance
from graphprune.verification.tally import Tally

ZERO, ONES = np.zeros(2, "float32"), np.ones(2, "float32")


def value(number: float) -> np.ndarray:
    return np.array([-number, number], "float32")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_worst_of_all_cases_is_kept(order: tuple[int, ...]) -> None:
    cases = [(value(1), value(1.5)), (value(100), value(101)), (value(5), value(5))]
    tally = Tally(["y"], Tolerance())
    assert [tally.add([cases[index][0]], [cases[index][1]]) for index in order] == [index == 2 for index in order]
    (report,), warnings = tally.finish()
    found = report.difference
    assert (found.max_abs_error, found.max_rel_error, found.max_abs_reference) == (1.0, 0.5, 100.0)
    assert (found.max_spread_error, found.mismatches, found.compared) == (0.5, 4, 6)
    assert found.reason is not None
    assert warnings == ()


def test_a_case_fails_if_any_output_does() -> None:
    assert not Tally(["y", "z"], Tolerance()).add([ONES, ONES], [value(1), ONES])
    assert not Tally(["y", "z"], Tolerance()).add([ONES, ONES], [ONES, value(1)])
    assert Tally(["y", "z"], Tolerance()).add([ONES, ONES], [ONES, ONES])


def test_a_session_of_fewer_outputs_is_no_pass() -> None:
    with pytest.raises(ValueError, match="zip"):
        Tally(["y", "z"], Tolerance()).add([ONES, ONES], [ONES])


def test_one_output_that_says_nothing_is_warned_about() -> None:
    tally = Tally(["y", "z"], Tolerance())
    assert tally.add([ZERO, value(1)], [ZERO, value(1)])
    reports, warnings = tally.finish()
    assert [report.difference.reason for report in reports] == [None, None]
    assert warnings == ("output 'y' is zero, NaN, empty or lost in rounding in every case, so nothing was compared",)


def test_a_value_in_one_case_is_enough() -> None:
    tally = Tally(["y"], Tolerance())
    tally.add([value(1)], [value(1)])
    tally.add([ZERO], [ZERO])
    reports, warnings = tally.finish()
    assert (reports[0].difference.reason, warnings) == (None, ())


def test_nothing_in_any_case_fails() -> None:
    tally = Tally(["y", "z"], Tolerance())
    tally.add([ZERO, np.zeros(0)], [ZERO, np.zeros(0)])
    assert all("nothing was compared" in str(report.difference.reason) for report in tally.finish()[0])


def test_a_tie_is_asked_about_only_where_something_differs() -> None:
    asked: list[str] = []

    def is_tie(name: str, expected: np.ndarray, actual: np.ndarray) -> bool:
        asked.append(name)
        return bool(expected.size == actual.size)

    tally = Tally(["y", "z"], Tolerance())
    assert tally.add([ONES, value(1)], [value(1), value(1)], is_tie)
    assert asked == ["y"]
    assert "output 'y' picks others of equally good scores than the reference" in tally.finish()[1]


def test_outputs_of_several_shapes_are_constant_where_all_their_values_are() -> None:
    for last, is_constant in ((np.ones(3, "float32"), True), (np.arange(3, dtype="float32"), False)):
        tally = Tally(["y"], Tolerance())
        for array in (ONES, last):
            tally.add([array], [array])
        assert tally.finish()[0][0].is_constant is is_constant


def test_an_output_that_never_changes_is_constant_whatever_its_elements() -> None:
    tally = Tally(["y"], Tolerance())
    for _ in range(2):
        tally.add([value(1)], [value(1)])
    (report,), warnings = tally.finish()
    assert report.is_constant
    assert warnings == ("output 'y' is constant over all cases, so nothing was compared",)


def test_a_single_case_is_constant_where_all_its_elements_are() -> None:
    for array, is_constant in ((ONES, True), (value(1), False)):
        tally = Tally(["y"], Tolerance())
        tally.add([array], [array])
        assert tally.finish()[0][0].is_constant is is_constant
