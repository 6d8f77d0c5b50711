"""Smaller candidates, without the channels that count least on samples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import ceil

from graphprune.analysis.sparsity import weight_counts
from graphprune.calibration.channels import ChannelPruneResult, prune_channels
from graphprune.masks.channel_criteria import FLAP
from graphprune.optimization.bounds import Bounds
from graphprune.optimization.ladder import Ladder, toward
from graphprune.optimization.measured import Candidate
from graphprune.optimization.methods import CHANNEL_METHODS, Method, best_method
from graphprune.optimization.search import Search
from graphprune.passes.base import run_pass
from graphprune.passes.fold_channels import FoldChannels
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.recipe import Recipe
from graphprune.reporting.report import CandidateReport

_TRIED_AT = 0.2
"""The share of parameters at which methods are compared."""

_LADDER = Ladder(first=0.2, step=0.1, least=0.02, most=0.8)


@dataclass(frozen=True)
class Channels:
    """Candidates that differ in how many channels are left.

    Attributes:
        name: What they are called.
        file: What their files are called.
    """

    name: str = "channels"
    file: str = "channels"

    def candidates(self, search: Search, bounds: Bounds, dense: CandidateReport) -> Iterator[CandidateReport]:
        """Return them, each when it is finished.

        Raises:
            GraphPruneError: No channels can be taken out.
        """
        made = _Candidates(search, self, dense)
        return toward(bounds, dense, _LADDER, made.at_share, made.within)


@dataclass(frozen=True)
class _Candidates:
    """Those of one search."""

    search: Search
    family: Channels
    dense: CandidateReport

    @cached_property
    def method(self) -> Method:
        """The one after which the model is the best."""
        name, file, recipe = self.family.name, self.family.file, _recipe(_TRIED_AT)
        return best_method(
            self.search, name, file, CHANNEL_METHODS, lambda each: self._pruned(each, recipe, f"{file}-trial").model
        )

    def within(self, most_ms: float) -> CandidateReport:
        """Return the one that is expected to take so many milliseconds, as if time went with parameters."""
        percents = ceil(round(100 * (1 - most_ms / self.dense.median_ms), 6))
        return self.at_share(min(_LADDER.most, max(_LADDER.least, percents / 100)))

    def at_share(self, share: float) -> CandidateReport:
        """Return the one without the channels that count least and have this share of the parameters."""
        name = f"model-{self.family.file}-{share * 100:.0f}"
        return self.search.finished(name, partial(self._made, f"{self.family.name}, {share:.0%}", name, share))

    def _made(self, label: str, file: str, share: float) -> Candidate:
        search, method, recipe = self.search, self.method, _recipe(share)
        search.say(f"{label}: {method.words}")
        found = self._pruned(method, recipe, file)
        recipe.save(search.bench.folder / f"{file}.yaml")
        small = run_pass(FoldChannels(), found.model).model
        damages = {layer.name: layer.error for layer in found.layers}
        whole = {name: counts.elements for name, counts in weight_counts(search.model).items()}
        return Candidate(label, file, small, tuple(self._steps(method, file)), damages, skips=found.skips, whole=whole)

    def _pruned(self, method: Method, recipe: Recipe, file: str) -> ChannelPruneResult:
        feeds, folder = self.search.feeds, self.search.work.layers(f"{file}-{method.words}")
        return prune_channels(
            self.search.model, recipe, feeds, repair=method.repairs, most_samples=len(feeds), resume_in=folder
        )

    def _steps(self, method: Method, name: str) -> Iterator[str]:
        commands, samples = self.search.commands, self.search.commands.samples(len(self.search.feeds))
        source, file = shlex.quote(commands.source), commands.file(name)
        yield f"graphprune prune {source} {file}.onnx --recipe {file}.yaml {method.options()}{samples}"
        yield commands.compiled(name, self.search.bench.target)


def _recipe(share: float) -> Recipe:
    return Recipe(sparsity=share, pattern="channel", channels=ChannelOptions(criterion=FLAP, share_of="parameters"))
