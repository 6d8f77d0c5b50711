"""Schedules and settings: ramps, text forms, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from graphprune.errors import RecipeError
from graphprune.masks.temperature import Temperature
from graphprune.planning.recipe import Recipe
from graphprune.planning.training_settings import Schedule, TrainingSettings


def test_the_linear_ramp_is_the_papers() -> None:
    schedule = Schedule(epsilon=0.25, ramp="linear")
    assert [schedule.ratio(step) for step in (-1, 0, 1, 2, 3, 9)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert Schedule(length=4, ramp="linear").ratio(1) == 0.5
    assert Schedule(epsilon=0.015).steps == 67


def test_the_cubic_ramp_begins_fast() -> None:
    schedule = Schedule(length=2, ramp="cubic")
    assert [schedule.ratio(step) for step in (-1, 0, 1, 5)] == [0, 1 - 0.5**3, 1, 1]


def test_the_constant_ramp_is_there_at_once() -> None:
    for schedule in (Schedule(ramp="constant"), Schedule(ramp="constant", length=4)):
        assert [schedule.ratio(step) for step in (-1, 0, 3)] == [0, 1, 1]
    assert [schedule.progress(step) for step in (-1, 0, 3, 9)] == [0, 0.25, 1, 1]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ramp": "linear"}, r"a linear ramp takes length or epsilon, got none \[GP701\]"),
    (
        {"length": 3, "epsilon": 0.1, "ramp": "linear"},
        r"a linear ramp takes length or epsilon, got length and epsilon \[GP701\]",
    ),
    ({"length": 3, "epsilon": 0.1, "ramp": "constant"}, r"a constant ramp takes length or epsilon, got .* \[GP701\]"),
    ({"length": 0}, r"schedule: length: .* got 0 \[GP320\]"),
    ({"epsilon": 2}, r"schedule: epsilon: .* got 2 \[GP320\]"),
    ({"length": 3, "start": -1}, r"schedule: start.* \[GP320\]"),
    ({"length": 3, "start": "later"}, r"schedule: start.* \[GP320\]"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_a_wrong_schedule_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Schedule(**keys)


def of(**training: Any) -> Recipe:  # noqa: ANN401 - keys of settings
    keys: dict[str, Any] = {"sparsity": 0.9, "training": training}
    return Recipe(**keys)


def test_a_recipe_holds_settings() -> None:
    recipe = of(temperature="0.10t2", schedule={"epsilon": 0.015})
    assert recipe.training == TrainingSettings(temperature="0.1t2", schedule=Schedule(epsilon=0.015))
    with pytest.raises(RecipeError, match=r"training settings: method: .* got 'magic'"):
        of(method="magic")
    with pytest.raises(RecipeError, match=r"temperature is 'hot'.*GP328"):
        of(temperature="hot")


def test_the_temperature_falls_along_the_ramp_fast_first() -> None:
    settings = TrainingSettings(temperature="1t2", final_temperature="0.2t2")
    found = [settings.temperature_at(progress) for progress in (0, 0.5, 1)]
    assert [temperature.value for temperature in found if temperature] == pytest.approx([1, 0.2 + 0.8 / 8, 0.2])
    assert all(temperature and temperature.relative for temperature in found)
    assert TrainingSettings(temperature="0.1t2").temperature_at(0.7) == Temperature(0.1, relative=True)


def test_at_the_final_temperature_zero_masks_are_hard() -> None:
    settings = of(temperature="1t2", final_temperature="0").training
    assert settings is not None
    assert settings.temperature_at(0.5) == Temperature(1 / 8, relative=True)
    assert settings.temperature_at(1) is None


def test_temperatures_of_two_kinds_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"goes from 0.0001 to 0.01t2, expected both .*GP704"):
        TrainingSettings(temperature="1e-4", final_temperature="0.01t2")


def test_what_is_not_said_is_what_was_found_best() -> None:
    settings = TrainingSettings(schedule=Schedule(length=4))
    assert (settings.method, settings.temperature, settings.schedule.ramp) == ("pdp", "1t2", "constant")
    assert [settings.temperature_at(progress) for progress in (0.5, 1)] == [Temperature(1 / 8, relative=True), None]
    assert TrainingSettings().temperature_at(1) == Temperature(1, relative=True)


def test_gradual_pruning_ramps_where_nothing_else_is_said() -> None:
    assert of(method="gmp", schedule={"length": 4}).training.schedule.ramp == "cubic"  # type: ignore[union-attr]
    assert of(method="gmp", schedule={"length": 4, "ramp": "constant"}).training.schedule.ramp == "constant"  # type: ignore[union-attr]
    assert of(method="gmp").training.schedule.ramp == "constant"  # type: ignore[union-attr]
