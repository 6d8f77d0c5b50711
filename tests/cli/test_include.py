from pathlib import Path

import graphprune
from tests.invoke import invoke


def test_the_folder_of_the_header() -> None:
    outcome = invoke("include")
    assert (outcome.code, outcome.out) == (0, graphprune.get_include() + "\n")
    assert (Path(graphprune.get_include()) / "graphprune.h").is_file()
