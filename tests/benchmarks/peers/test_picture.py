from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.peers.picture import draw, spread
from tests.benchmarks.peers.fakes import recorded


def test_it_is_an_svg_with_a_line_and_a_name_for_each_peer_that_was_timed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(recorded(), tmp_path / "picture.svg")
    assert ET.parse(tmp_path / "picture.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - ours
    text = (tmp_path / "picture.svg").read_text()
    for name, times in {"small": 1, "large": 1, "graphprune": 4, "deepsparse": 4, "limit": 2, "tvm": 0}.items():
        assert text.count(f"<!-- {name} -->") == times


def test_the_same_results_give_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        draw(recorded(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_labels_keep_their_distance_and_their_order() -> None:
    assert spread([0.5, 0.1, 0.52, 0.51], 0.1) == pytest.approx([0.5, 0.1, 0.7, 0.6])


def test_labels_that_are_apart_stay_where_they_are() -> None:
    assert spread([0.9, 0.1], 0.1) == [0.9, 0.1]
