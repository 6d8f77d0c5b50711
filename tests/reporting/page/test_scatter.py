"""The picture of quality and time."""

from __future__ import annotations

import math
import re
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest

from graphprune.reporting.page.entries import entries, points
from graphprune.reporting.page.frame import FONT, NARROW, WIDE, Format
from graphprune.reporting.page.labels import Box
from graphprune.reporting.page.marks import legend
from graphprune.reporting.page.scatter import scatter
from graphprune.reporting.page.text import width
from graphprune.reporting.report import Report
from tests.reporting.page.document import by_class, parse
from tests.reporting.page.example import candidate, full, report, rival

FORMS = pytest.mark.parametrize("form", [WIDE, NARROW], ids=lambda form: form.name)
LABELS = ("label", "chosen", "bound-label")


def draw(given: Report, form: Format = WIDE) -> ET.Element:
    found = scatter(given, form)
    assert found
    return parse(found.drawn)


def box(text: ET.Element) -> Box:
    """Where a label lies, by the widths that it was placed with."""
    wide = width(text.text or "", FONT, bold=text.get("class") == "chosen")
    x = float(text.attrib["x"]) - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]] * wide
    return Box(x + 0.01, float(text.attrib["y"]) - 11.5 + 0.01, wide - 0.02, 14.98)


def crowd(count: int) -> Report:
    """Many candidates, some of them close to each other."""
    made = [candidate(f"candidate {i}", 0.7 + 0.002 * (i * 37 % 100), 4 + 0.1 * (i * 61 % 50)) for i in range(count)]
    return report(*made, rivals=(rival(), rival("openvino")), recommended="candidate 7", least_quality=0.8, most_ms=6.0)


@FORMS
@pytest.mark.parametrize("count", [0, 1, 8, 60])
def test_labels_overlap_neither_each_other_nor_marks(count: int, form: Format) -> None:
    drawn = draw(crowd(count), form)
    boxes = [box(text) for look in LABELS for text in by_class(drawn, look)]
    marks = [
        Box(float(c.attrib["cx"]) - 5, float(c.attrib["cy"]) - 5, 10, 10)
        for c in by_class(drawn, "mark")
        if c.get("cx")
    ]
    assert len(boxes) >= min(count, 6)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert not any(a.overlaps(b) for a in boxes for b in marks)
    assert all(each.is_in(Box(0, 0, form.width, form.height)) for each in boxes)


@FORMS
def test_what_has_no_label_is_counted(form: Format) -> None:
    given = crowd(60)
    found = scatter(given, form)
    assert found
    labels = [text for look in ("label", "chosen") for text in by_class(parse(found.drawn), look)]
    assert found.unnamed == len(points(given)) - len(labels) > 0


def test_words_of_a_bound_that_have_no_room_are_no_mark_without_a_name() -> None:
    crowded = [candidate("c", 0.5 + 0.03 * row, 5 + column) for row in range(16) for column in range(6)]
    given = report(*crowded, most_ms=7.5, least_quality=0.72)
    found = scatter(given, NARROW)
    assert found
    drawn = parse(found.drawn)
    assert len(by_class(drawn, "bound-label")) < 2
    assert found.unnamed == len(points(given)) - len(by_class(drawn, "label"))


@FORMS
def test_the_recommended_one_has_a_label_and_a_ring(form: Format) -> None:
    drawn = draw(full(), form)
    assert [each.text for each in by_class(drawn, "chosen")] == ["sparsegpt 60%"]
    (ring,) = by_class(drawn, "ring")
    (point,) = [each for each in drawn.iter("g") if "sparsegpt" in (each.findtext("title") or "")]
    assert ring in list(point)


def test_no_ring_where_nothing_is_recommended() -> None:
    drawn = draw(report(candidate()))
    assert by_class(drawn, "ring") == by_class(drawn, "chosen") == []


def test_each_mark_is_what_the_report_says() -> None:
    given = full()
    looks = {(each.findtext("title") or "").rpartition(":")[0]: each[-1] for each in draw(given).iter("g")}
    for entry in entries(given):
        mark = looks[entry.candidate.name]
        assert mark.get("class") == ("mark pareto" if entry.in_pareto else "mark dominated")
        assert mark.tag == ("rect" if entry.is_dense else "circle")
    assert [looks[each.name].tag for each in given.rivals] == ["polygon"] * 2


def test_better_is_up_and_faster_is_left() -> None:
    drawn = draw(report(candidate("fast", 0.99, 1.0), candidate("slow", 0.5, 30.0)))
    fast, slow = (
        next(g[-1] for g in drawn.iter("g") if g.findtext("title", "").startswith(name)) for name in ("fast", "slow")
    )
    assert float(fast.attrib["cx"]) < float(slow.attrib["cx"])
    assert float(fast.attrib["cy"]) < float(slow.attrib["cy"])


def test_the_line_goes_in_steps_through_the_pareto_set() -> None:
    given = full()
    drawn = draw(given)
    (front,) = by_class(drawn, "front")
    corners = [tuple(map(float, corner.split(","))) for corner in front.attrib["points"].split()]
    assert all(x1 == x2 or y1 == y2 for (x1, y1), (x2, y2) in pairwise(corners))
    assert all(x1 <= x2 and y1 >= y2 for (x1, y1), (x2, y2) in pairwise(corners))
    marks = [
        (float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in by_class(drawn, "pareto") if mark.get("cx")
    ]
    assert len(marks) == 2
    assert set(marks) <= set(corners)
    assert len(corners) == 2 * len(given.pareto())


def test_bounds_are_dashed_lines_with_words() -> None:
    drawn = draw(full())
    assert sorted(each.text or "" for each in by_class(drawn, "bound-label")) == ["at least 0.9200", "at most 5.25 ms"]
    (up, across) = by_class(drawn, "bound")
    assert up.get("x1") == up.get("x2")
    assert across.get("y1") == across.get("y2")
    assert by_class(draw(report(candidate())), "bound") == []


def test_bounds_far_from_all_points_are_in_the_picture() -> None:
    drawn = draw(report(candidate(), least_quality=-3.0, most_ms=1e6))
    for line in by_class(drawn, "bound"):
        assert 0 <= float(line.attrib["x1"]) <= WIDE.width
        assert 0 <= float(line.attrib["y1"]) <= WIDE.height


@FORMS
def test_the_time_axis_is_logarithmic_where_the_spread_is_large(form: Format) -> None:
    def axes(given: Report) -> str:
        return " ".join(each.text or "" for each in by_class(draw(given, form), "axis"))

    assert "logarithmic" in axes(report(candidate(ms=1.0)))
    assert "logarithmic" not in axes(report(candidate(ms=9.0)))
    assert "…" not in axes(report(candidate(ms=1.0)))


@FORMS
def test_numbers_of_axes_are_in_the_picture(form: Format) -> None:
    for given in (
        full(),
        report(candidate("a", -123_456.7)),
        report(candidate("a", 0.95 + 1e-8)),
        report(candidate("a", 9e11)),
    ):
        for tick in by_class(draw(given, form), "tick"):
            wide, x = width(tick.text or "", 11), float(tick.attrib["x"])
            assert x - wide >= 0 if tick.get("text-anchor") == "end" else 0 <= x <= form.width


@FORMS
@pytest.mark.parametrize(
    "given",
    [
        report(),
        report(candidate(ms=10.0), candidate("b", 0.5, 10.0)),
        report(candidate(quality=0.95)),
        report(candidate(quality=-12.5), candidate("b", -3e4)),
        report(candidate(ms=0.0)),
        report(candidate(ms=-1.0)),
        report(candidate(quality=0.0), dense=candidate("net", 0.0, 0.0)),
        report(candidate(quality=math.nan), candidate(ms=math.inf), least_quality=math.nan, most_ms=math.inf),
        report(candidate(ms=1e-6), candidate(ms=1e9)),
    ],
    ids=["dense", "one time", "one quality", "negative", "no time", "negative time", "zeros", "not finite", "wide"],
)
def test_all_marks_are_inside(given: Report, form: Format) -> None:
    drawn = draw(given, form)
    shown = [each for each in drawn.iter("g") if each.find("title") is not None]
    assert len(shown) == len(points(given))
    numbers = [
        float(number) for each in drawn.iter() for number in re.findall(r"-?[\d.]+|nan|inf", each.get("points", ""))
    ]
    places = [
        float(each.attrib[key])
        for each in drawn.iter()
        for key in ("cx", "cy", "x1", "y1", "x", "y")
        if key in each.attrib
    ]
    assert all(0 <= place <= max(form.width, form.height) for place in numbers + places)


def test_nothing_to_draw() -> None:
    assert scatter(report(dense=candidate("net", math.nan)), WIDE) is None


def test_the_description_tells_the_pareto_set() -> None:
    description = draw(full()).findtext("desc") or ""
    assert description.startswith("6 models by the median time of a run and by agreement.")
    assert "wanda 60%: 4.50 ms, 0.91000; sparsegpt 60%: 4.60 ms, 0.93000; net: 10.0 ms, 0.95000." in description


def test_a_long_pareto_set_is_told_in_part() -> None:
    many = [candidate(f"c{i}", 0.5 + 0.01 * i, 1.0 + 0.1 * i) for i in range(25)]
    description = draw(report(*many)).findtext("desc") or ""
    assert "c19: " in description
    assert "c20: " not in description
    assert "; and 6 more. " in description


def test_the_legend_has_what_is_in_the_picture() -> None:
    words = [text for _, text in legend(points(full()))]
    assert words == [
        "recommended (ring)",
        "in the Pareto set",
        "another is as fast and as good (hollow)",
        "the dense model, in the Pareto set",
        "without graphprune",
    ]
    assert [text for _, text in legend(points(report()))] == ["the dense model, in the Pareto set"]
    beaten = report(candidate("better", 0.99, 1.0))
    assert "the dense model, not in it (hollow)" in [text for _, text in legend(points(beaten))]
