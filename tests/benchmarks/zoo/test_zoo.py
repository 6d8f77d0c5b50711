"""The benchmark of record: sides, rows that are kept, tables and pictures."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.peers import measure as measuring
from benchmarks.peers.results import Outcome
from benchmarks.zoo import __main__ as command
from benchmarks.zoo.picture import draw
from benchmarks.zoo.results import Row, ratios, read, write
from benchmarks.zoo.sides import PATTERNS, RIVALS, sides
from benchmarks.zoo.table import footnotes, heading, line, refusals, summary
from graphprune.measuring.environment import Environment
from graphprune.testing import models
from tests.weighted import inferred_model

PRODUCT = "main (float[1,64] x, float[64,64] w) => (float[1,64] y) { y = MatMul (x, w) }"
MACHINE = Environment("A processor", 2, {}, "abc")


def row(model: str, ours: float, wrong: float | None = None) -> Row:
    """90% zeros take `ours` milliseconds, ONNX Runtime 6, OpenVINO 4; other columns have no time."""
    outcomes = {
        "90%": Outcome(ours, 3, 1e-6 if wrong is None else wrong, "0.1"),
        "50%": Outcome(reason="a | b"),
        "onnxruntime": Outcome(6.0, 3, 0.0, "1.32"),
        "openvino": Outcome(4.0, 3, 2e-6, "2026"),
    }
    return Row(model, MACHINE, 1, outcomes)


ROWS = [row("quick", 1.0), row("slow", 12.0), row("even", 6.0)]


def test_ratios_are_over_onnx_runtime_and_sorted() -> None:
    assert ratios(ROWS, "90%") == {"slow": 0.5, "even": 1.0, "quick": 6.0}
    assert list(ratios(ROWS, "90%")) == ["slow", "even", "quick"]
    assert not ratios(ROWS, "50%")


def test_a_wrong_output_has_no_ratio_and_is_shown() -> None:
    wrong = row("wrong", 1.0, 0.5)
    assert not ratios([wrong], "90%")
    assert "| 1 (differs by 5e-01) |" in line(wrong)


def test_a_line_has_a_cell_for_each_heading() -> None:
    cells = line(ROWS[0])
    assert cells == "| quick | 6 | 4 | - | no | - | 1 | - | - | - | - | 6.00x | - |"
    assert [text.count("|") for text in heading()] == [cells.count("|")] * 2


def test_what_a_side_does_not_take_is_told_with_the_reason() -> None:
    assert refusals(ROWS[:1]) == ["* 50% does not take quick: a | b"]


def test_the_summary_has_means_also_over_the_faster_rival_and_names_the_slowest() -> None:
    text = "\n".join(summary(ROWS))
    assert "| 90% | 1.44x | 0.50x | 1.00x | 6.00x | 3 | 0.96x |" in text
    assert text.endswith("The slowest at 90%: slow 0.50x, even 1.00x, quick 6.00x.")


def test_the_footnotes_name_machine_versions_and_commits() -> None:
    text = footnotes([*ROWS, replace(ROWS[0], environment=replace(MACHINE, commit="def"))])
    assert text.startswith("A processor, 1 thread(s); onnxruntime 1.32, openvino 2026; commit abc, def. ")
    assert text.endswith("2e-06.")


def test_rows_are_kept(tmp_path: Path) -> None:
    assert read(tmp_path / "rows.json") == {}
    write(ROWS, tmp_path / "rows.json")
    assert list(read(tmp_path / "rows.json").values()) == ROWS


def test_the_picture_has_a_line_for_each_column_that_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(ROWS, tmp_path / "zoo.svg")
    text = (tmp_path / "zoo.svg").read_text()
    assert "90% zeros: 1.44x in the geometric mean" in text
    assert "50% zeros" not in text


def test_sides_are_the_file_with_zeros_and_the_dense_one_elsewhere() -> None:
    model = inferred_model(PRODUCT)
    made = {side.name: side for side in sides(tuple(PATTERNS), RIVALS)}
    assert [*made] == [*PATTERNS, *RIVALS]
    zeros = {name: _zeros(side.form(model)) for name, side in made.items() if side.form is not None}
    assert zeros == {"50%": 0.5, "80%": pytest.approx(0.8, abs=1e-3), "90%": pytest.approx(0.9, abs=1e-3), "2:4": 0.5}


def _zeros(model: ir.Model) -> float:
    (weight,) = model.graph.initializers.values()
    assert weight.const_value is not None
    return float(np.mean(weight.const_value.numpy() == 0))


def test_a_pruned_form_is_held_to_its_own_outputs() -> None:
    model = inferred_model(PRODUCT)
    (side, _) = sides(("90%",), ("onnxruntime",))
    outcomes = measuring.measure(model, [side, replace(side, name="as dense", is_pruned=False)], threads=1, runs=1)
    assert (outcomes["90%"].error or 0) < 1e-5
    assert (outcomes["as dense"].error or 0) > 0.1


def test_the_command_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    write(ROWS, tmp_path / "rows.json")
    asked: list[str] = []
    monkeypatch.setattr(models, "build", asked.append)
    monkeypatch.setattr(command, "measure", lambda *_: ROWS[0].outcomes)
    monkeypatch.setattr(command, "MODELS", ("quick", "new"))
    files = {name: str(tmp_path / name) for name in ("rows.json", "zoo.md", "zoo.svg")}
    given = ["--json", files["rows.json"], "--markdown", files["zoo.md"], "--picture", files["zoo.svg"]]
    monkeypatch.setattr(sys, "argv", ["zoo", *given])
    command.main()
    assert asked == ["new"]
    assert list(read(tmp_path / "rows.json")) == ["quick", "slow", "even", "new"]
    assert "| new | 6 | 4 |" in capsys.readouterr().out
    assert "| even |" in (tmp_path / "zoo.md").read_text()
