"""A report of models that are there already, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.calibration.samples import SAMPLES, take
from graphprune.files import work_folder
from graphprune.optimization.measured import CANNOT_BE, Bench, Candidate
from graphprune.optimization.metrics import MetricFunction, metric_for
from graphprune.optimization.search import Commands
from graphprune.optimization.timing import machine_report, timed
from graphprune.reporting.report import CandidateReport, RefusedReport, Report


def compare(  # noqa: PLR0913 - one argument an option
    dense: ir.Model,
    others: Mapping[str, ir.Model],
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    metric: str | MetricFunction | None = None,
    target: str = "native",
    threads: int = 1,
    most_samples: int = SAMPLES,
    commands: Commands | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Report:
    """Compile models, verify, time and profile them, and return what is known of them.

    Args:
        dense: What the others are to take the place of.
        others: By what they are called in the report: their files.
        samples: Arrays by input name, that nothing was pruned by.
        metric: See `graphprune.optimize`.
        target: What is compiled for, this machine's.
        threads: Of a run.
        most_samples: How many samples are looked at.
        commands: What the dense model and the run are called in the report.
        on_step: Called with what is being done.

    Raises:
        InputError: Of samples that do not fit the dense model, or of a metric.
        GraphPruneError: The dense model cannot be compiled; others that cannot are in the report, with the reason.
    """
    say, names = on_step or (lambda _: None), commands or Commands()
    feeds = take(samples, tensor_infos(dense.graph.inputs), most_samples)
    chosen = metric_for(dense, feeds, metric)
    with work_folder() as folder:
        bench = Bench(folder, target, threads, chosen, feeds)
        say(names.source)
        found = [bench.measured(Candidate("dense", "0", dense))]
        refused: list[RefusedReport] = []
        for number, (name, model) in enumerate(others.items(), 1):
            say(name)
            try:
                found.append(bench.measured(Candidate(name, str(number), model)))
            except CANNOT_BE as error:
                refused.append(RefusedReport(name=name, code=error.code or "", reason=error.message))
        say("timing all of them in turns")
        times = timed(dense, bench, found)
    first, *rest = (_placed(each, names.source) for each in times.candidates)
    return Report(
        source=names.source,
        command=names.run,
        metric=chosen.words,
        samples=None if callable(metric) else len(feeds),
        dense=first,
        candidates=tuple(rest),
        rivals=times.rivals,
        refused=tuple(refused),
        machine=machine_report(bench),
    )


def _placed(found: CandidateReport, source: str) -> CandidateReport:
    """Where its file is: compiled code was in a folder that is gone."""
    return found.model_copy(update={"model": source if found.name == "dense" else found.name, "compiled": None})
