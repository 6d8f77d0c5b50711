"""A candidate is written, compiled, verified, and looked at: how good it is, and where its time goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphprune.analysis.sparsity import weight_counts
from graphprune.analysis.weights import prunable_weights
from graphprune.calibration.ranges import Feed
from graphprune.compiler.compile import compile as compile_model
from graphprune.diagnostics import Skip
from graphprune.errors import BackendError, PassError, RecipeError, UnsupportedModelError, VerificationError
from graphprune.frontends.onnx_file import save
from graphprune.measuring.environment import pinned
from graphprune.measuring.profiler import KernelTime, profile
from graphprune.optimization.metrics import Metric
from graphprune.reporting.report import CandidateReport, KernelReport, LayerReport, RefusedReport
from graphprune.targets.target import resolve_target
from graphprune.verification.report import VerifyReport
from graphprune.verification.verifier import verify

if TYPE_CHECKING:
    from graphprune.backends.tvm.building.roofline import Roofline

CANNOT_BE = (BackendError, PassError, RecipeError, UnsupportedModelError, VerificationError)
"""What says of a candidate that it cannot be; what is wrong with samples, a metric or a disk ends the run."""

_ON_INTEGERS = "_quantized"
"""What `Quantize` adds to the name of a weight."""

_VERIFIED = 3
"""Samples on which compiled code is compared with ONNX Runtime."""


@dataclass(frozen=True)
class Candidate:
    """A model that could take the dense one's place.

    Attributes:
        name: What it is called.
        file: The name of its files, without their endings.
        model: The model.
        steps: The commands that make it.
        damages: What the outputs of a layer err by, by the name of its weight.
        predicted_ms: How long a run was expected to take.
        skips: What it leaves as it was.
        whole: How many elements weights have in the dense model, by name, where channels are taken out.
    """

    name: str
    file: str
    model: ir.Model
    steps: tuple[str, ...] = ()
    damages: Mapping[str, float] = field(default_factory=dict)
    predicted_ms: float | None = None
    skips: Sequence[Skip] = ()
    whole: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Where candidates are looked at.

    Attributes:
        folder: For their files.
        target: What they are compiled for, this machine's.
        threads: Of a run.
        metric: How good they are.
        feeds: Samples that nothing was pruned by.
    """

    folder: Path
    target: str
    threads: int
    metric: Metric
    feeds: Sequence[Feed]

    @cached_property
    def _roofline(self) -> Roofline:
        from graphprune.backends.tvm.building.roofline import measure_roofline

        with pinned(self.threads):
            return measure_roofline(resolve_target("native"), self.threads)

    def measured(self, candidate: Candidate) -> CandidateReport:
        """Write the candidate's files, and return what is known of it.

        Raises:
            VerificationError: Compiled code does not compute what ONNX Runtime does (GP561).
            GraphPruneError: It cannot be compiled.
        """
        model, compiled = (self.folder / f"{candidate.file}{suffix}" for suffix in (".onnx", ".so"))
        save(candidate.model, model)
        with pinned(self.threads):
            session = compile_model(candidate.model, self.target, self.threads)
            session.save(compiled)
            checked = verify(candidate.model, session, samples=self.feeds[:_VERIFIED])
            checked.raise_for_failure()
            found = profile(session, self.feeds[0], self.threads, roofline=self._roofline)
            quality = self.metric.of(session)
        return CandidateReport(
            name=candidate.name,
            steps=candidate.steps,
            model=model.name,
            compiled=compiled.name,
            model_bytes=model.stat().st_size,
            compiled_bytes=compiled.stat().st_size,
            quality=quality,
            median_ms=found.run_ms,
            p90_ms=found.run_ms,
            predicted_ms=candidate.predicted_ms,
            max_error=_largest_error(checked),
            layers=tuple(_layers(candidate)),
            kernels=tuple(_kernel(each) for each in found.kernels),
            skips=tuple(RefusedReport(name=each.node, code=each.code, reason=each.reason) for each in candidate.skips),
        )


def _layers(candidate: Candidate) -> Iterator[LayerReport]:
    counts = weight_counts(candidate.model)
    for weight in prunable_weights(candidate.model)[0]:
        elements = candidate.whole.get(weight.name, counts[weight.name].elements)
        zeros = elements - (counts[weight.name].elements - counts[weight.name].zeros)
        damage = candidate.damages.get(weight.name.removesuffix(_ON_INTEGERS))
        yield LayerReport(name=weight.name, elements=elements, zeros=zeros, damage=damage)


def _kernel(found: KernelTime) -> KernelReport:
    where = {"node": found.node, "operators": found.operators, "kernel": found.kernel}
    return KernelReport(**where, ms=found.ms, limit_ms=found.limit_ms)


def _largest_error(found: VerifyReport) -> float | None:
    errors = (output.difference.max_spread_error for output in found.outputs)
    return max((error for error in errors if error is not None), default=None)
