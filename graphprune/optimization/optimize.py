"""From a model to files that could take its place, and the one that is recommended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import named_constants
from graphprune.backends.base import tensor_infos
from graphprune.calibration.finished import digest
from graphprune.calibration.ranges import Feed
from graphprune.calibration.samples import SAMPLES, check_varied, take
from graphprune.errors import InputError, PreconditionError
from graphprune.graph.arguments import check_model
from graphprune.optimization.bounds import Bounds
from graphprune.optimization.families import FAMILIES
from graphprune.optimization.measured import CANNOT_BE, Bench
from graphprune.optimization.metrics import Metric, MetricFunction, metric_for
from graphprune.optimization.plain import INTEGERS, as_it_is, on_integers
from graphprune.optimization.search import Commands, Search
from graphprune.optimization.timing import machine_report, timed
from graphprune.optimization.workspace import Workspace
from graphprune.reporting.page import write_page
from graphprune.reporting.report import CandidateReport, RefusedReport, Report
from graphprune.stages.stage import Stage, get_stage

_LOG = logging.getLogger("graphprune")

_PRUNED_BY = 2 / 3
"""The share of the samples that are pruned by, if there are few."""

_FEWEST = 8
"""Samples in all."""

_TAKEN = 4
"""Times as many samples are taken as are pruned by."""


def optimize(  # noqa: PLR0913 - one argument an option
    model: ir.Model,
    folder: Path,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    metric: str | MetricFunction | None = None,
    max_drop: float | None = None,
    target_latency_ms: float | None = None,
    target: str = "native",
    threads: int = 1,
    most_samples: int = SAMPLES,
    commands: Commands | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Report:
    """Try fewer channels, zeros and integers; write files, `report.json` and `report.html`, and recommend one.

    A run that was stopped goes on in the same folder: what is finished is not made again.

    Args:
        model: Dense.
        folder: For the files; made if need be.
        samples: Arrays by input name. Some of them are pruned by; where `metric` is no function, the others say how
            good a candidate is.
        metric: How good a session is, more is better; `agreement` or `closeness` with the dense model, on samples that
            are held out; None for the one that fits.
        max_drop: What the metric may lose against the dense model; 0.01 where nothing is asked for.
        target_latency_ms: What a run may take, instead.
        target: What is compiled for; it has to be this machine, which times are taken on.
        threads: Of a run.
        most_samples: How many samples are pruned by.
        commands: What model, samples and run are called in the report.
        on_step: Called with what is being done.

    Returns:
        The report; `recommended` is None where nothing meets the bound, and `why` says how near one came.

    Raises:
        InputError: Of samples, as `graphprune.prune`; fewer than 8 (GP644); of a metric (GP642, GP643, GP646), bounds
            (GP647), or a folder of another run (GP645).
        PreconditionError: The model is not dense (GP255).
    """
    check_model("optimize", model)
    if get_stage(model) is not Stage.DENSE:
        raise PreconditionError(f"optimize: the model is {get_stage(model)}, expected dense", code="GP255")
    bounds = Bounds.of(max_drop, target_latency_ms)
    feeds = take(samples, tensor_infos(model.graph.inputs), _TAKEN * most_samples)
    calibration, held_out = _split(feeds, most_samples, judged=not callable(metric))
    chosen = metric_for(model, held_out, metric)
    work = Workspace(folder, _run(model, feeds, chosen, (target, threads, most_samples)))
    bench = Bench(folder, target, threads, chosen, held_out)
    search = Search(model, commands or Commands(), calibration, bench, work, _LOG.info if on_step is None else on_step)
    tried = _Tried(search, bounds)
    tried.all()
    return tried.report(chosen, None if callable(metric) else len(held_out))


class _Tried:
    """What was made, and what could not be."""

    def __init__(self, search: Search, bounds: Bounds) -> None:
        """Begin with the dense model."""
        self._search, self._bounds = search, bounds
        self._dense = as_it_is(search)
        self._candidates: list[CandidateReport] = []
        self._refused: list[RefusedReport] = []

    def all(self) -> None:
        """Try everything."""
        self._keep(INTEGERS, lambda: iter([on_integers(self._search)]))
        for family in FAMILIES:
            self._keep(family.name, partial(family.candidates, self._search, self._bounds, self._dense))

    def _keep(self, name: str, make: Callable[[], Iterator[CandidateReport]]) -> None:
        """Keep candidates as they are finished; what cannot be made leaves a reason."""
        try:
            for found in make():
                self._candidates += [found] if found not in self._candidates else []
        except CANNOT_BE as error:
            self._refused.append(RefusedReport(name=name, code=error.code or "", reason=error.message))

    def report(self, metric: Metric, samples: int | None) -> Report:
        """Time everything in turns, choose, and write."""
        search, bench = self._search, self._search.bench
        search.say("timing all of them in turns")
        times = timed(search.model, bench, (self._dense, *self._candidates), INTEGERS)
        dense, *candidates = times.candidates
        chosen, why = self._bounds.best(dense, candidates)
        found = Report(
            source=search.commands.source,
            command=search.commands.run,
            metric=metric.words,
            least_quality=self._bounds.least_quality(dense.quality),
            most_ms=self._bounds.most_ms,
            samples=samples,
            dense=dense,
            candidates=tuple(candidates),
            rivals=times.rivals,
            refused=(*self._refused, *_skipped(candidates)),
            recommended=None if chosen is None else chosen.name,
            why=why,
            machine=machine_report(bench),
        )
        found.save(bench.folder / "report.json")
        write_page(found, bench.folder / "report.html")
        return found


def _skipped(candidates: Iterable[CandidateReport]) -> tuple[RefusedReport, ...]:
    """What candidates leave as it was, each once."""
    return tuple(dict.fromkeys(skip for each in candidates for skip in each.skips))


def _split(feeds: Sequence[Feed], most: int, *, judged: bool) -> tuple[Sequence[Feed], Sequence[Feed]]:
    """Samples to prune by, the first ones, which `--samples` takes too, and those to verify and to be timed on.

    If models are judged by the latter, they are others; a function of the user's has samples of its own.

    Raises:
        InputError: There are too few (GP644), or they never vary (GP577).
    """
    if len(feeds) < _FEWEST:
        raise InputError(f"{len(feeds)} samples are given, expected at least {_FEWEST}", code="GP644")
    check_varied(feeds)
    count = min(most, round(len(feeds) * _PRUNED_BY) if judged else len(feeds))
    return feeds[:count], feeds[count:] or feeds


def _run(model: ir.Model, feeds: Sequence[Feed], metric: Metric, others: Sequence[object]) -> dict[str, Any]:
    """What a run is known by."""
    tensors = (tensor for _, tensor in named_constants(model).values())
    return {
        "weights": digest(tensor.numpy() for tensor in tensors if tensor.dtype != ir.DataType.STRING),
        "nodes": digest([np.array([f"{node.op_type} {node.name}" for node in model.graph])]),
        "samples": digest(feed[name] for feed in feeds for name in sorted(feed)),
        "metric": metric.words,
        "others": [*map(str, others)],
    }
