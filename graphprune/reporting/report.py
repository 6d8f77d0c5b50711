"""What is known of a model and of the files that could take its place: the content of `report.json`."""

from __future__ import annotations

from typing import Literal

from graphprune.planning.documents import Document


class LayerReport(Document):
    """One weight of a candidate.

    Attributes:
        name: Of the weight.
        elements: How many it has.
        zeros: How many of them are zero, or went with channels.
        damage: What the layer's outputs err by on samples, as a share of their size; None where that is not known.
    """

    name: str
    elements: int
    zeros: int
    damage: float | None = None


class KernelReport(Document):
    """One kernel of compiled code.

    Attributes:
        node: The node that it was made for.
        operators: That node's operator and those fused behind it, as `Conv+Add+Relu`.
        kernel: What it does.
        ms: Median time.
        limit_ms: The time below which nothing of so many operations and bytes can be on this machine.
    """

    node: str
    operators: str
    kernel: str
    ms: float
    limit_ms: float


class RefusedReport(Document):
    """A candidate that could not be made, or a node or weight that one leaves as it was.

    Attributes:
        name: What it is called.
        code: Of the refusal.
        reason: Why.
    """

    name: str
    code: str
    reason: str


class CandidateReport(Document):
    """A file that could take the dense model's place, or that model itself.

    Attributes:
        name: What it is called, as `sparsegpt 60%, int8`.
        steps: What was done to the dense model, a command a line.
        model: The file that any runtime reads, relative to the report.
        compiled: The compiled file, relative to the report; None where there is none.
        model_bytes: Its size.
        compiled_bytes: The size of the compiled file.
        quality: How good it is, by the metric of the report.
        median_ms: How long a run takes.
        p90_ms: What nine runs of ten are shorter than.
        predicted_ms: How long a run was expected to take, where zeros were spread for a time.
        max_error: The largest error of the compiled file beside its own model in ONNX Runtime, relative to the output's
            spread.
        layers: Its weights.
        kernels: Those of the compiled file, in order.
        skips: Nodes and weights that it leaves as they were.
    """

    name: str
    steps: tuple[str, ...] = ()
    model: str
    compiled: str | None = None
    model_bytes: int
    compiled_bytes: int | None = None
    quality: float
    median_ms: float
    p90_ms: float
    predicted_ms: float | None = None
    max_error: float | None = None
    layers: tuple[LayerReport, ...] = ()
    kernels: tuple[KernelReport, ...] = ()
    skips: tuple[RefusedReport, ...] = ()


class RivalReport(Document):
    """What the same work takes without graphprune.

    Attributes:
        name: As `onnxruntime, float32`.
        quality: By the metric of the report.
        median_ms: How long a run takes.
        p90_ms: What nine runs of ten are shorter than.
    """

    name: str
    quality: float
    median_ms: float
    p90_ms: float


class MachineReport(Document):
    """Where times were taken.

    Attributes:
        cpu: The processor's name.
        processors: How many there are.
        threads: How many a run uses.
        target: What code was compiled for.
        versions: Of what runs the models.
        commit: Of graphprune, in a checkout.
    """

    cpu: str
    processors: int
    threads: int
    target: str
    versions: dict[str, str]
    commit: str | None = None


class Report(Document):
    """All that was tried for one model.

    Attributes:
        version: Of the file's form.
        source: The model's file.
        command: What makes the report again.
        metric: What `quality` is, in words; more is better.
        least_quality: What a candidate must reach, where there is such a bound.
        most_ms: What a candidate's median may take, where there is such a bound.
        samples: How many samples the quality was measured on; None where a metric of the user's chose them.
        dense: The model as it was given, compiled.
        candidates: The files that could take its place, in the order in which they were tried.
        rivals: The same work without graphprune; the first runs the dense model and is what speed-ups are relative to.
        refused: What could not be done.
        recommended: The name of a candidate, or of the dense model.
        why: Why that one, or none, as the rest of a sentence.
        machine: Where times were taken.
    """

    version: Literal[1] = 1
    source: str
    command: str
    metric: str
    least_quality: float | None = None
    most_ms: float | None = None
    samples: int | None = None
    dense: CandidateReport
    candidates: tuple[CandidateReport, ...] = ()
    rivals: tuple[RivalReport, ...] = ()
    refused: tuple[RefusedReport, ...] = ()
    recommended: str | None = None
    why: str | None = None
    machine: MachineReport

    def pareto(self) -> tuple[CandidateReport, ...]:
        """Those, the dense one among them, that no faster or equally fast one is as good as; the fastest first."""
        found: list[CandidateReport] = []
        for each in sorted((self.dense, *self.candidates), key=lambda each: (each.median_ms, -each.quality)):
            if not found or each.quality > found[-1].quality:
                found.append(each)
        return tuple(found)
