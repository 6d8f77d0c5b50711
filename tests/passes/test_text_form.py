"""The text form of a pass, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.passes.text_form import read_form, write_form

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True), _VALUES, max_size=4))
def test_what_is_written_is_read_back(options: dict[str, object]) -> None:
    text = write_form("some-pass", options)
    assert read_form(text) == ("some-pass", options, len(text))


def test_without_options_the_name_stands_alone() -> None:
    assert write_form("fold-constants", {}) == "fold-constants"


def test_a_plain_word_is_written_bare() -> None:
    assert write_form("p", {"scope": "layer", "text": "two words", "n": 8}) == 'p{scope=layer text="two words" n=8}'


def test_the_string_true_is_quoted() -> None:
    assert write_form("p", {"word": "true"}) == 'p{word="true"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a pass name at position 0"),
        ("Fold", "expected a pass name at position 0"),
        ("p{", "expected a new option=value or a closing brace at position 2"),
        ("p{a}", "expected a new option=value or a closing brace at position 2"),
        ("p{a=1 a=2}", "expected a new option=value or a closing brace at position 6"),
        ("p{a=}", "expected a value at position 4"),
        ("p{a=[1}", "expected a value at position 4"),
        ("p{a=1b=2}", "expected a space or a closing brace at position 5"),
    ],
)
def test_what_is_not_a_pass_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_form(text)
    assert str(refused.value) == f"pass text {text!r}: {message} [GP241]"
