"""Bars of what is in a candidate."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from graphprune.reporting.page.bars import WIDTH
from graphprune.reporting.page.charts import MOST, Chart, charts, zero_share
from graphprune.reporting.page.entries import entries
from graphprune.reporting.page.text import width
from graphprune.reporting.report import KernelReport, LayerReport
from tests.reporting.page.document import by_class, parse
from tests.reporting.page.example import candidate, kernels, layers, report


def drawn_of(**inside: Any) -> list[Chart]:  # noqa: ANN401
    return charts(entries(report(candidate(**inside)))[1])


def picture(chart: Chart) -> ET.Element:
    assert chart.drawn is not None
    return parse(chart.drawn)


def lengths(chart: Chart, look: str = "bar") -> list[float]:
    return [float(each.attrib["width"]) / WIDTH for each in by_class(picture(chart), look)]


def texts(chart: Chart, look: str) -> list[str]:
    return [each.text or "" for each in by_class(picture(chart), look)]


def layer(name: str = "w", elements: int = 10, zeros: int = 5, damage: float | None = None) -> LayerReport:
    return LayerReport(name=name, elements=elements, zeros=zeros, damage=damage)


def kernel(ms: float, limit_ms: float, node: str = "/conv") -> KernelReport:
    return KernelReport(node=node, operators="Conv+Relu", kernel="planes", ms=ms, limit_ms=limit_ms)


def test_zeros() -> None:
    zeros, _, _ = drawn_of(layers=(layer("a", 10, 5), layer("b", 10, 0), layer("c", 4, 3), layer("d", 0, 0)))
    assert lengths(zeros) == [0.5, 0.0, 0.75, 0.0]
    assert texts(zeros, "name") == ["a", "b", "c", "d"]
    assert texts(zeros, "value") == ["50.0%", "0.0%", "75.0%", "not known"]
    assert "All layers (4)." in zeros.note


def test_damage() -> None:
    _, damage, _ = drawn_of(
        layers=(layer("a", damage=0.02), layer("b", damage=0.08), layer("c"), layer("d", damage=math.nan))
    )
    assert lengths(damage) == [0.25, 1.0]
    assert texts(damage, "value") == ["2.0%", "8.0%"]
    assert "a full bar is 8.0%" in damage.note
    assert "That of 2 more is not known." in damage.note


def test_kernels_beside_their_limits_the_longest_first() -> None:
    _, _, times = drawn_of(kernels=(kernel(1.0, 0.5, "/a"), kernel(4.0, 1.0, "/b"), kernel(2.0, 2.0, "")))
    assert lengths(times) == [1.0, 0.5, 0.25]
    assert lengths(times, "inner") == pytest.approx([0.25, 0.5, 0.125], abs=1e-4)
    assert texts(times, "name") == ["/b", "Conv+Relu", "/a"]
    assert texts(times, "value")[0] == "4.00 ms, least 1.00"
    assert "All kernels: 7.00 ms, at least 3.50 ms." in times.note


def test_a_limit_above_the_time_stays_within_the_picture() -> None:
    _, _, times = drawn_of(kernels=(kernel(1.0, 2.0),))
    assert (lengths(times), lengths(times, "inner")) == ([0.5], [1.0])


def test_of_many_the_largest_are_drawn_and_the_others_counted() -> None:
    zeros, damage, times = drawn_of(layers=layers(200), kernels=kernels(500))
    assert [len(by_class(picture(each), "bar")) for each in (zeros, damage, times)] == [MOST] * 3
    assert texts(zeros, "name") == texts(damage, "name") == [f"layer{i}.weight" for i in range(160, 200)]
    assert texts(times, "name") == [f"/conv{i}" for i in range(499, 459, -1)]
    assert "The 40 largest layers; 160 more are in the table." in zeros.note
    assert "The 40 worst layers; 160 more are in the table." in damage.note
    assert "The 40 longest kernels; 460 more are in the table." in times.note


@pytest.mark.parametrize(
    ("inside", "notes"),
    [
        ({}, ["No layers are known.", "The damage of layers is not known.", "No time of a kernel is known."]),
        ({"layers": (layer(zeros=0, damage=0.0),)}, ["No layer has zeros.", "No layer errs on the samples.", None]),
        ({"kernels": (kernel(0.0, 0.0), kernel(math.inf, 1.0))}, [None, None, "No time of a kernel is known."]),
    ],
)
def test_what_cannot_be_drawn_is_said(inside: dict[str, Any], notes: list[str | None]) -> None:
    for chart, note in zip(drawn_of(**inside), notes, strict=True):
        if note is not None:
            assert (chart.drawn, chart.note) == (None, note)


def test_one_kernel() -> None:
    _, _, times = drawn_of(kernels=kernels(1))
    assert lengths(times) == [1.0]


def test_names_do_not_run_into_numbers() -> None:
    long = "model.layers.17.self_attn.q_proj.weight_transposed_and_packed/MatMul_quantized"
    _, _, times = drawn_of(kernels=(kernel(123.0, 12.3, long),))
    (name,), (value,) = texts(times, "name"), texts(times, "value")
    assert "…" in name
    assert width(name, 10.5, monospaced=True) + width(value, 10.5) < WIDTH
    (row,) = picture(times).iter("g")
    assert long in (row.findtext("title") or "")


def test_rows_lie_within_the_picture() -> None:
    zeros, *_ = drawn_of(layers=layers(7))
    drawn = picture(zeros)
    assert all(
        float(bar.attrib["y"]) + float(bar.attrib["height"]) <= float(drawn.attrib["height"])
        for bar in by_class(drawn, "bar")
    )
    places = [float(bar.attrib["y"]) for bar in by_class(drawn, "bar")]
    assert places == sorted(set(places))


def test_shares_of_zeros() -> None:
    assert zero_share(layer(zeros=5)) == 0.5
    assert zero_share(layer(elements=0, zeros=0)) is None
