"""The table of the accuracy study: python -m benchmarks.accuracy.table writes docs/accuracy.md from the results."""

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
_MARK = "<!-- table -->"

Group = list[dict[str, Any]]


def groups() -> dict[tuple[str, str], Group]:
    """The results by target and method with its settings, best mean first within a target."""
    found: dict[tuple[str, str], Group] = defaultdict(list)
    for path in sorted(RESULTS.glob("*.json")):
        row = json.loads(path.read_text())
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


def main() -> None:
    """Put the table behind its mark in the page."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(_MARK)
    _, _, tail = rest.partition(_MARK)
    with atomic_write(PAGE) as file:
        file.write(f"{head}{_MARK}\n{table()}\n{_MARK}{tail}".encode())


if __name__ == "__main__":
    main()
