"""YAML: numbers as in version 1.2, both ways, and no repeated keys."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from graphprune.planning.yaml_form import dump, load

NUMBERS: list[tuple[str, object]] = [
    ("1", 1),
    ("-12", -12),
    ("0x1f", 31),
    ("0.5", 0.5),
    ("1e-4", 1e-4),
    (".5", 0.5),
    ("-.inf", float("-inf")),
    ("2:4", "2:4"),
    ("16:32", "16:32"),
    ("1_000", "1_000"),
    ("1.5:30", "1.5:30"),
    ("0.1t2", "0.1t2"),
    ("true", True),
    ("null", None),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_plain_words(text: str, value: object) -> None:
    assert load(f"key: {text}") == {"key": value}


@pytest.mark.parametrize("text", ["1234e567", "0123", "1e5", "2:4", "12", ".5", "true", "~", "0x12"])
def test_a_string_stays_a_string(text: str) -> None:
    assert load(dump({"key": text})) == {"key": text}


@given(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.from_regex(r"[0-9a-f]{16}", fullmatch=True)))
def test_what_is_written_is_read(value: object) -> None:
    assert load(dump({"key": value})) == {"key": value}


@pytest.mark.parametrize("text", ["a: 1\na: 2", "rules: [{b: 1, c: 2, b: 1}]"])
def test_a_repeated_key_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"key '[ab]' is given twice"):
        load(text)


def test_anchors_and_merges_still_work() -> None:
    assert load("a: &x {k: 1}\nb: {<<: *x, l: 2}") == {"a": {"k": 1}, "b": {"k": 1, "l": 2}}


def test_an_alias_stands_for_its_value() -> None:
    assert load("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


def test_aliases_that_stand_for_too_much_are_refused() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(yaml.YAMLError, match="aliases stand for more than 1000000 values"):
        load("\n".join(lines))


def test_a_value_that_holds_itself_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="aliases stand for more than"):
        load("a: &a [*a]")
