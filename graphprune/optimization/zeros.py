"""Candidates with zeros, of which each has them where they cost the least for the time that they gain."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import onnx_ir as ir

from graphprune.allocation.allocate import within_time
from graphprune.allocation.damage import Damages, measure_damages
from graphprune.allocation.levels import ANY_SHARE
from graphprune.allocation.recipe import as_recipe
from graphprune.allocation.times import Times, measure_times
from graphprune.calibration.pruner import PruneResult
from graphprune.calibration.quantize import quantize
from graphprune.errors import RecipeError
from graphprune.optimization.bounds import Bounds
from graphprune.optimization.ladder import Ladder, toward
from graphprune.optimization.measured import Candidate
from graphprune.optimization.methods import METHODS, Method, best_method
from graphprune.optimization.search import Search
from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe
from graphprune.reporting.report import CandidateReport

_ROUGHLY = 8
"""Samples for integers whose time is all that counts."""

_TRIED_AT = 0.7
"""The shares of zeros at which methods are compared are those for the time that such zeros gain."""

_LADDER = Ladder(first=0.70, step=0.14, least=0.40, most=0.95)


@dataclass(frozen=True)
class Zeros:
    """Candidates that differ in how many zeros they have.

    Attributes:
        name: What they are called.
        file: What their files are called.
        pattern: How zeros lie.
        on_integers: Whether they compute with integers of 8 bits.
    """

    name: str
    file: str
    pattern: str
    on_integers: bool

    def candidates(self, search: Search, bounds: Bounds, dense: CandidateReport) -> Iterator[CandidateReport]:
        """Return them, each when it is finished.

        Raises:
            GraphPruneError: There is nothing to prune in such a pattern, or the bound cannot be reached.
        """
        made = _Candidates(search, self)
        return _some(toward(bounds, dense, _LADDER, made.at_share, made.within), self.pattern)


def _some(candidates: Iterator[CandidateReport], pattern: str) -> Iterator[CandidateReport]:
    """Yield them all.

    Raises:
        RecipeError: There is none (GP649).
    """
    first = next(candidates, None)
    if first is None:
        message = f"zeros in the pattern '{pattern}' gain no time on this machine, at any share that was tried"
        raise RecipeError(message, code="GP649")
    yield first
    yield from candidates


@dataclass(frozen=True)
class _Candidates:
    """Those of one search."""

    search: Search
    family: Zeros

    @cached_property
    def plan(self) -> PruningPlan:
        """Which weights, whatever their shares."""
        recipe = Recipe(sparsity=ANY_SHARE, pattern=self.family.pattern, criterion=METHODS[0].criterion)
        return plan(self.search.model, recipe)

    @cached_property
    def damages(self) -> Damages:
        """What zeros in each weight cost."""
        return self.search.work.finished(f"{self.family.file}-damages", Damages, self._measured_damages)

    @cached_property
    def times(self) -> Times:
        """What zeros in each weight gain."""
        return self.search.work.finished(f"{self.family.file}-times", Times, self._measured_times)

    @cached_property
    def method(self) -> Method:
        """The one after which the model is the best."""
        chosen, _ = within_time(self.plan, self.damages, self.times, self.times.whole(_TRIED_AT))
        name, file = self.family.name, self.family.file
        return best_method(
            self.search, name, file, METHODS, lambda each: self._pruned(each, chosen, f"{file}-trial").model
        )

    def at_share(self, share: float) -> CandidateReport | None:
        """Return the one that is as fast as with this share of zeros in each weight; None if that gains nothing."""
        most_ms = self.times.whole(share)
        return self.made(f"{share:.0%}", f"{share * 100:.0f}", most_ms) if most_ms < self.times.whole(0.0) else None

    def within(self, most_ms: float) -> CandidateReport:
        """Return the one that costs the least and is expected to take so many milliseconds."""
        return self.made(f"{most_ms:.3g} ms", f"{most_ms:.3g}ms", most_ms)

    def made(self, label: str, file: str, most_ms: float) -> CandidateReport:
        """Return the one that costs the least in so many milliseconds."""
        name = f"model-{self.family.file}-{file}"
        return self.search.finished(name, partial(self._made, f"{self.family.name}, {label}", name, most_ms))

    def _measured_damages(self) -> Damages:
        self.search.say(f"{self.family.name}: what zeros in each layer cost")
        return measure_damages(self.search.model, self.plan, self.search.feeds)

    def _measured_times(self) -> Times:
        self.search.say(f"{self.family.name}: what zeros in each layer gain")
        bench, finish = self.search.bench, self._roughly_on_integers if self.family.on_integers else None
        return measure_times(self.search.model, self.plan, self.search.feeds[0], bench.target, bench.threads, finish)

    def _made(self, label: str, file: str, most_ms: float) -> Candidate:
        chosen, predicted_ms = within_time(self.plan, self.damages, self.times, most_ms)
        method = self.method
        self.search.say(f"{label}: {method.words}")
        found = self._pruned(method, chosen, file)
        model = self._on_integers(found.model) if self.family.on_integers else found.model
        recipe = self.search.bench.folder / f"{file}.yaml"
        as_recipe(chosen).model_copy(update={"criterion": method.criterion}).save(recipe)
        damages = {layer.name: layer.error for layer in found.layers}
        steps = tuple(self._steps(method, file))
        return Candidate(label, file, model, steps, damages, predicted_ms, found.skips)

    def _pruned(self, method: Method, chosen: PruningPlan, file: str) -> PruneResult:
        search = self.search
        return method.applied(search.model, chosen, search.feeds, search.work.layers(f"{file}-{method.words}"))

    def _on_integers(self, model: ir.Model) -> ir.Model:
        return quantize(model, self.search.feeds, most_samples=len(self.search.feeds)).model

    def _roughly_on_integers(self, model: ir.Model) -> ir.Model:
        return quantize(model, self.search.feeds[:_ROUGHLY], repair=False).model

    def _steps(self, method: Method, name: str) -> Iterator[str]:
        commands = self.search.commands
        file, samples = commands.file(name), commands.samples(len(self.search.feeds))
        source, pruned = shlex.quote(commands.source), f"{file}{'-float' if self.family.on_integers else ''}.onnx"
        yield f"graphprune prune {source} {pruned} --recipe {file}.yaml {method.options()}{samples}"
        if self.family.on_integers:
            yield f"graphprune quantize {pruned} {file}.onnx {samples}"
        yield commands.compiled(name, self.search.bench.target)
