"""The page of a report: what its template is given."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from graphprune.files import atomic_write
from graphprune.reporting.page import numbers
from graphprune.reporting.page.charts import charts, zero_share
from graphprune.reporting.page.entries import base, entries, points, speedup
from graphprune.reporting.page.frame import NARROW, WIDE
from graphprune.reporting.page.marks import legend
from graphprune.reporting.page.scatter import scatter
from graphprune.reporting.page.text import printable
from graphprune.reporting.report import Report

_DIGITS = 4
"""How many of the largest quality are written; those of others have as many places."""

_BELOW = 0.999
"""1 and 100, up to which shares go, have as many places as what is below them."""


def page(report: Report) -> str:
    """Return the report as one HTML file, with all its pictures, that loads nothing and runs nothing."""
    report = printable(report)
    models = entries(report)
    qualities = [model.candidate.quality for model in models] + [rival.quality for rival in report.rivals]
    return _template().render(
        report=report,
        entries=models,
        chosen=next((each for each in models if each.is_recommended), None),
        base=base(report),
        rivals=[(rival, rival.quality - report.dense.quality, speedup(report, rival)) for rival in report.rivals],
        pictures=[(form, scatter(report, form)) for form in (WIDE, NARROW)],
        legend=legend(points(report)),
        places=numbers.decimals((_BELOW * quality for quality in qualities), _DIGITS),
    )


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write `page(report)`, atomically.

    Raises:
        ModelFileError: The file cannot be written. [GP106]
    """
    text = page(report)
    with atomic_write(Path(path)) as file:
        file.write(text.encode())


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("graphprune.reporting.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        charts=charts,
        zero_share=zero_share,
        fixed=numbers.fixed,
        ms=numbers.ms,
        percent=numbers.percent,
        ratio=numbers.ratio,
        significant=numbers.significant,
        size=numbers.size,
        times=numbers.times,
    )
    return environment.get_template("report.html.jinja")
