"""Documents: suggestions and how a document is called. Loading and saving are tested with recipes and plans."""

import pytest

from graphprune.errors import RecipeError
from graphprune.planning.documents import Document, suggestion


class TestedDocument(Document):
    """A document of two keys."""

    __test__ = False
    name: str = "x"
    count: int


@pytest.mark.parametrize(
    ("word", "expected"), [("cuont", ", did you mean 'count'"), ("count", ", did you mean 'count'"), ("zzz", "")]
)
def test_suggestion(word: str, expected: str) -> None:
    assert suggestion(word, ["count", "name"]) == expected


def test_a_document_is_called_by_its_class_and_name() -> None:
    with pytest.raises(RecipeError, match=r"^tested document 'y': key 'count' is missing \[GP320\]$"):
        TestedDocument(name="y")  # type: ignore[call-arg]


def test_a_document_is_frozen() -> None:
    document = TestedDocument(count=1)
    with pytest.raises(ValueError, match="frozen"):
        document.count = 2


def test_a_value_is_shown_without_being_written_out_whole() -> None:
    value: list[object] = [1] * 9
    for _ in range(40):
        value = [value] * 9
    with pytest.raises(RecipeError, match=r"count: input should be a valid integer, got \[\[\[.*\[GP320\]$"):
        TestedDocument(count=value)  # type: ignore[arg-type]
