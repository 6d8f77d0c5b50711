"""Candidates without zeros: the dense model as it is, and on integers of 8 bits."""

from __future__ import annotations

import shlex

from graphprune.calibration.quantize import quantize
from graphprune.optimization.measured import Candidate
from graphprune.optimization.search import Search
from graphprune.reporting.report import CandidateReport

INTEGERS = "int8"
"""What the one on integers is called."""


def as_it_is(search: Search) -> CandidateReport:
    """Return the dense model, compiled."""
    name = "model-dense"
    steps = (search.commands.compiled(name, search.bench.target),)

    def make() -> Candidate:
        search.say("the dense model")
        return Candidate("dense", name, search.model, steps)

    return search.finished(name, make)


def on_integers(search: Search) -> CandidateReport:
    """Return it with weights and activations on integers of 8 bits."""
    name, samples = "model-int8", search.commands.samples(len(search.feeds))
    steps = (
        f"graphprune quantize {shlex.quote(search.commands.source)} {search.commands.file(name)}.onnx {samples}",
        search.commands.compiled(name, search.bench.target),
    )

    def make() -> Candidate:
        search.say("integers of 8 bits")
        found = quantize(search.model, search.feeds, most_samples=len(search.feeds))
        return Candidate(INTEGERS, name, found.model, steps, skips=found.skips)

    return search.finished(name, make)
