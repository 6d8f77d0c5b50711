"""Temperatures: the text form both ways, and what is refused."""

from __future__ import annotations

import pytest

from graphprune.errors import RecipeError
from graphprune.masks.temperature import Temperature, parse_temperature


@pytest.mark.parametrize("temperature", [Temperature(), Temperature(0.1, relative=True), Temperature(2)])
def test_the_text_form_is_read_back(temperature: Temperature) -> None:
    assert parse_temperature(str(temperature)) == temperature


@pytest.mark.parametrize("text", ["", "warm", "-1e-4", "0.1t3", "1.2.3", "0", "1e999", "t2"])
def test_what_is_no_temperature_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"temperature is .*GP328"):
        parse_temperature(text)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_positive(value: float) -> None:
    with pytest.raises(RecipeError, match="expected a positive number"):
        Temperature(value)
