"""docs/training.md: its code runs from top to bottom."""

from tests.docs.pages import run_page


def test_the_code_runs() -> None:
    names = run_page("training.md")
    assert "sparse" in names
