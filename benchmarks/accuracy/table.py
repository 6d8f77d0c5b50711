"""The tables of the accuracy study: python -m benchmarks.accuracy.table writes them into docs/accuracy.md."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.accuracy.study import EPOCHS, RESULTS
from graphprune.files import atomic_write

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
HERE = Path(__file__).parent

Group = list[dict[str, Any]]


def results() -> Group:
    """All rows that were run."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def groups() -> dict[tuple[str, str], Group]:
    """The results of whole runs by target and method with its settings, best mean first within a target."""
    found: dict[tuple[str, str], Group] = defaultdict(list)
    for row in results():
        if row["settings"]["epochs"] == EPOCHS:
            found[row["target"], _method(row)].append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], -_mean(item[1]))))


def _method(row: dict[str, Any]) -> str:
    schedule = row["recipe"]["training"]["schedule"]
    if row["method"] == "str":
        return f"str, decay of logits {row['temperature']}"
    temperature = f", temperature {row['temperature'].replace('~', ' to ')}" if row["method"] == "pdp" else ""
    return f"{row['method']}, {schedule['ramp']} ramp{temperature}"


def _mean(rows: Group) -> float:
    mean: float = statistics.mean(row["accuracy"] for row in rows)
    return mean


def table() -> str:
    """Return the table as Markdown."""
    dense = json.loads((HERE / "resnet20.json").read_text())["epochs"][-1]["accuracy"]
    lines = [
        f"{EPOCHS} epochs from one checkpoint (dense {dense:.1%}); accuracy of the exported and compiled network.",
        "",
        "| target | method | accuracy | spread | seeds | zeros |",
        "|---|---|---|---|---|---|",
    ]
    for (target, method), rows in groups().items():
        accuracies = [row["accuracy"] for row in rows]
        spread = f"{statistics.stdev(accuracies):.2%}" if len(rows) > 1 else "-"
        zeros = statistics.mean(row["sparsity"] for row in rows)
        lines.append(f"| {target} | {method} | {_mean(rows):.2%} | {spread} | {len(rows)} | {zeros:.2%} |")
    return "\n".join(lines)


def quantized_table() -> str:
    """Return the table of short runs with and without fake quantizers, as Markdown."""
    found: dict[tuple[str, int, int], dict[bool, dict[str, Any]]] = defaultdict(dict)
    for row in results():
        epochs = row["settings"]["epochs"]
        if epochs != EPOCHS:
            found[row["target"], epochs, row["seed"]][row.get("int8", False)] = row
    lines = [
        "| target | epochs | seed | zeros | float32 | quantized afterwards | trained with quantizers |",
        "|---|---|---|---|---|---|---|",
    ]
    for (target, epochs, seed), pair in sorted(found.items()):
        if len(pair) == len((True, False)):
            plain = pair[False]
            accuracies = (plain["accuracy"], plain["quantized_accuracy"], pair[True]["accuracy"])
            shown = " | ".join(f"{each:.2%}" for each in accuracies)
            lines.append(f"| {target} | {epochs} | {seed} | {plain['sparsity']:.1%} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    """Put the tables between their marks in the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in (("table", table()), ("quantized", quantized_table())):
        mark = f"<!-- {name} -->"
        head, _, rest = page.partition(mark)
        _, _, tail = rest.partition(mark)
        page = f"{head}{mark}\n{text}\n{mark}{tail}"
    with atomic_write(PAGE) as file:
        file.write(page.encode())


if __name__ == "__main__":
    main()
