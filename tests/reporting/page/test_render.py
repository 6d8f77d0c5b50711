"""The page as a whole: all that the report has is on it, and nothing of it is taken for markup."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from graphprune.errors import ModelFileError
from graphprune.reporting.page import page, write_page
from graphprune.reporting.page.text import printable
from graphprune.reporting.report import LayerReport, RefusedReport, Report
from tests.reporting.page.document import Document
from tests.reporting.page.example import HOSTILE, candidate, full, kernels, layers, report, rival

EVERYWHERE = {f"hostile {number}": name for number, name in enumerate(HOSTILE)}


def hostile(name: str) -> Report:
    """A report in which every text is `name`."""

    def put(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, str):
            return name
        if isinstance(value, dict):
            return {key: value[key] if key == "version" else put(value[key]) for key in value}
        return [put(each) for each in value] if isinstance(value, (list, tuple)) else value

    data = put(full().model_dump())
    data["machine"]["versions"] = {name: name}
    return Report(**data)


REPORTS = {
    "full": full(),
    "dense only": report(),
    "rivals only": report(rivals=(rival(), rival("other"))),
    "dense recommended": report(candidate(), recommended="net"),
    "nothing compiled": report(candidate(), recommended="pruned", why="because"),
    "times equal": report(candidate(ms=10.0), candidate("b", 0.2, 10.0)),
    "quality equal": report(candidate(quality=0.95), candidate("b", 0.95, 3.0)),
    "negative quality": report(candidate(quality=-7.25), dense=candidate("net", -6.5)),
    "no bytes": report(candidate(model_bytes=0, compiled="a", compiled_bytes=0)),
    "no times": report(candidate(ms=0.0, predicted_ms=0.0), dense=candidate("net", 0.0, 0.0), rivals=(rival(ms=0.0),)),
    "not finite": report(candidate(quality=math.nan, ms=math.inf), dense=candidate("net", -math.inf, math.nan)),
    "one kernel": report(candidate(kernels=kernels(1))),
    "no zeros": report(candidate(layers=(LayerReport(name="w", elements=4, zeros=0, damage=0.0),))),
    "large": report(candidate(layers=layers(200), kernels=kernels(500)), recommended="pruned"),
    **{name: hostile(text) for name, text in EVERYWHERE.items()},
}
ANY = pytest.mark.parametrize("name", list(REPORTS))


@cache
def drawn(name: str) -> Document:
    return Document(page(REPORTS[name]))


FULL = drawn("full")


def leaves(value: Any) -> Iterator[Any]:  # noqa: ANN401
    """All numbers and texts of plain data, the names of versions among them."""
    if isinstance(value, dict):
        yield from (each for key, item in value.items() if key != "version" for each in leaves(item))
    elif isinstance(value, (list, tuple)):
        yield from (each for item in value for each in leaves(item))
    elif value is not None:
        yield value


@ANY
def test_every_number_of_the_report_is_on_the_page(name: str) -> None:
    shown = drawn(name).numbers
    numbers = [each for each in leaves(REPORTS[name].model_dump()) if not isinstance(each, str)]
    assert {str(each) for each in numbers} <= shown


@ANY
def test_every_text_of_the_report_is_on_the_page(name: str) -> None:
    shown = drawn(name).text
    data = printable(REPORTS[name]).model_dump()
    for text in (*leaves(data), *data["machine"]["versions"]):
        assert not isinstance(text, str) or " ".join(text.split()) in shown


@ANY
def test_nothing_is_loaded_and_nothing_runs(name: str) -> None:
    found = drawn(name)
    assert {each.tag for each in found.elements}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "image", "use", "base"}
    )
    attributes = {key for each in found.elements for key in each.attributes}
    assert not any(each.startswith("on") for each in attributes)
    assert attributes.isdisjoint({"src", "style", "xlink:href", "action", "srcset"})
    assert all(each.get("href").startswith("#") for each in found.all("a"))
    (style,) = found.all("style")
    assert not re.search(r"url\(|@import|https?:", style.text)


@ANY
def test_ids_are_there_once_and_what_refers_to_them_finds_them(name: str) -> None:
    found = drawn(name)
    ids = Counter(each.get("id") for each in found.elements if "id" in each.attributes)
    assert set(ids.values()) == {1}
    wanted = [word for each in found.elements for word in each.get("aria-labelledby").split()]
    wanted += [each.get("href")[1:] for each in found.all("a")]
    assert set(wanted) <= set(ids)


@ANY
def test_pictures_are_xml_and_have_words(name: str) -> None:
    found = drawn(name)
    for each in found.pictures:
        assert each.findtext("title")
        assert each.findtext("desc")
        assert each.get("aria-labelledby") == f"{each.get('id')}-title {each.get('id')}-desc"
    hidden = [each for each in found.all("svg") if each.get("aria-hidden") == "true"]
    assert len(hidden) + len(found.pictures) == len(found.all("svg"))
    assert not any(character in found.source for character in "\x00\x07\x1b\u202e\u2028")


@ANY
def test_headings_are_in_order(name: str) -> None:
    found = drawn(name)
    levels = [int(each.tag[1]) for each in found.elements if re.fullmatch(r"h[1-6]", each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@ANY
def test_tables_say_what_they_are(name: str) -> None:
    found = drawn(name)
    tables = found.all("table")
    assert len(found.all("caption")) == len(tables)
    assert all(each.text for each in found.all("caption"))
    assert all(each.get("scope") == ("col" if "thead" in each.inside else "row") for each in found.all("th"))
    boxes = found.all("div", "scroll")
    assert len(boxes) == len(tables)
    assert all(each.get("tabindex") == "0" and each.get("role") == "region" for each in boxes)


def test_rows_have_as_many_cells_as_heads() -> None:
    for table in re.findall(r"<table>.*?</table>", page(REPORTS["full"]), re.DOTALL):
        rows = [len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr\b.*?</tr>", table, re.DOTALL)]
        assert len(set(rows)) == 1


def test_the_document() -> None:
    (root,) = FULL.all("html")
    assert FULL.source.startswith("<!DOCTYPE html>\n")
    assert root.get("lang") == "en"
    assert FULL.elements[2].attributes == {"charset": "utf-8"}
    assert len(FULL.all("main")) == 1
    assert FULL.all("title")[0].text == "net.onnx: quality and speed"


def test_sections_are_in_order() -> None:
    assert [each.text for each in FULL.all("h2")] == [
        "Quality against time",
        "Layers and kernels",
        "What was refused, and why",
        "How to make it again",
        "Where and how this was measured",
    ]


def test_the_recommendation_and_its_reason_come_first() -> None:
    (verdict,) = FULL.all("p", "verdict")
    assert verdict.text == "Recommended: sparsegpt 60%: it is the fastest with an agreement of 0.92."
    titles = [each.text for each in FULL.all("dt")[:5]]
    assert titles == ["Quality", "Median time of a run", "Speed-up", "Speed-up over dense", "Model file"]
    values = [each.text for each in FULL.all("span", "key")]
    assert values == ["0.9300", "4.60 ms", "1.96x", "2.17x", "1.23 MB"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (report(), "Nothing is recommended."),
        (report(why="none is good enough"), "Nothing is recommended: none is good enough."),
        (report(recommended="net"), "Recommended: net (the dense model)."),
        (report(recommended="other"), "Nothing is recommended."),
    ],
)
def test_other_verdicts(given: Report, text: str) -> None:
    assert Document(page(given)).all("p", "verdict")[0].text == text


def test_the_table_of_candidates() -> None:
    rows = [each.text for each in FULL.all("tr")[1:5]]
    assert rows[0] == "net (dense) 0.9500 0.0000 10.0 ms 11.0 ms 0.900x none none 1.23 MB none none yes"
    assert rows[1] == (
        "wanda 60% 0.9100 \N{MINUS SIGN}0.0400 4.50 ms 4.95 ms 2.00x 4.70 ms +4.4% 1.23 MB 457 kB "
        "3.3e\N{MINUS SIGN}07 yes"
    )
    assert rows[2].startswith("sparsegpt 60% recommended 0.9300")
    assert rows[3].endswith("no")
    assert [each.get("class") for each in FULL.all("tr")[1:5]] == ["", "", "recommended", ""]


def test_the_pareto_set_in_the_table_is_that_of_the_report() -> None:
    rows = [each.text for each in FULL.all("tr")[1:5]]
    for name in ("net", "wanda 60%", "sparsegpt 60%", "int8"):
        (row,) = [each for each in rows if each.startswith(name)]
        assert row.endswith("yes") == any(each.name == name for each in full().pareto())


def test_without_rivals_speedups_are_relative_to_the_dense_model() -> None:
    found = Document(page(report(candidate(ms=4.0), recommended="pruned")))
    assert any(each.text == "Speed-up over net" for each in found.all("th"))
    assert "2.50x" in found.text
    assert "without graphprune" not in found.text


def test_the_recommended_one_is_open_and_others_are_folded() -> None:
    folded = [each.text.split(" Zeros")[0] for each in FULL.all("details", "model")]
    assert folded == ["net", "wanda 60%", "int8"]
    assert any(each.get("id") == "model-2" for each in FULL.all("section"))
    nothing = Document(page(report(candidate())))
    assert len(nothing.all("details", "model")) == 2


def test_pictures_of_the_recommended_one_come_first() -> None:
    shown = [each.get("id") for each in FULL.pictures]
    assert shown[:5] == ["pareto-wide", "pareto-narrow", "zeros-2", "damage-2", "kernels-2"]


def test_tables_have_all_layers_and_kernels() -> None:
    found = drawn("large")
    assert len([each for each in found.all("code") if each.text.startswith("layer")]) == 200
    assert len([each for each in found.all("code") if each.text.startswith("/conv")]) == 500


def test_what_was_refused() -> None:
    (row,) = [each for each in FULL.all("tr") if "GP310" in each.text]
    assert row.text == "2:4 GP310 w has 3 inputs"
    assert "Nothing was refused." in Document(page(report())).text
    many = tuple(RefusedReport(name=f"r{i}", code="GP1", reason=f"because {i}") for i in range(30))
    assert "because 29" in Document(page(report(refused=many))).text


def test_commands_keep_their_lines() -> None:
    blocks = [each.words for each in FULL.all("pre")]
    assert ["graphprune report net.onnx"] in blocks
    assert ["graphprune prune -o a.onnx\ngraphprune compile a.onnx"] in blocks


def test_bounds_and_samples_are_told() -> None:
    assert "It was measured on 777 samples." in FULL.text
    assert "Asked for was a quality of at least 0.92000." in FULL.text
    assert "Asked for was a median of at most 5.25 ms." in FULL.text
    other = Document(page(report())).text
    assert "samples." not in other.split("Quality is ")[1].split("Times are")[0]
    assert "Asked for" not in other


@pytest.mark.parametrize(("quality", "text"), [(1.0, "1.0000"), (100.0, "100.00"), (-12.345, "\N{MINUS SIGN}12.35")])
def test_places_of_qualities(quality: float, text: str) -> None:
    found = Document(page(report(dense=candidate("net", quality))))
    (row,) = [each for each in found.all("tr") if each.text.startswith("net")]
    assert row.text.split()[2] == text


def test_a_report_is_drawn_the_same_each_time() -> None:
    assert page(full()) == page(full())


def test_a_page_is_written(tmp_path: Path) -> None:
    write_page(full(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(full())
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_page_replaces_an_earlier_one_only_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("earlier")

    def fail(_: Report) -> str:
        raise ValueError

    monkeypatch.setattr("graphprune.reporting.page.render.page", fail)
    with pytest.raises(ValueError):  # noqa: PT011 - raised above
        write_page(full(), target)
    assert target.read_text() == "earlier"


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        write_page(full(), tmp_path / "missing" / "report.html")
    assert caught.value.code == "GP106"
