"""Reports to draw, small ones and one with all that a report can hold."""

from __future__ import annotations

from typing import Any

from graphprune.reporting.report import (
    CandidateReport,
    KernelReport,
    LayerReport,
    MachineReport,
    RefusedReport,
    Report,
    RivalReport,
)


def candidate(name: str = "pruned", quality: float = 0.9, ms: float = 5.0, **more: Any) -> CandidateReport:  # noqa: ANN401
    values = {"model": f"{name}.onnx", "model_bytes": 1_234_567, "p90_ms": 1.1 * ms, **more}
    return CandidateReport(name=name, quality=quality, median_ms=ms, **values)


def rival(name: str = "onnxruntime", quality: float = 0.95, ms: float = 9.0) -> RivalReport:
    return RivalReport(name=name, quality=quality, median_ms=ms, p90_ms=1.2 * ms)


def report(*candidates: CandidateReport, **more: Any) -> Report:  # noqa: ANN401
    values: dict[str, Any] = {
        "source": "net.onnx",
        "command": "graphprune report net.onnx",
        "metric": "agreement",
        "dense": candidate("net", 0.95, 10.0),
        "machine": MachineReport(cpu="Xeon", processors=2, threads=1, target="x86-64-v3", versions={"numpy": "2.4.6"}),
        **more,
    }
    return Report(candidates=candidates, **values)


def plain(text: str) -> str:
    """With hyphens for the minus signs."""
    return text.replace("\N{MINUS SIGN}", "-")


def layers(count: int) -> tuple[LayerReport, ...]:
    return tuple(
        LayerReport(name=f"layer{i}.weight", elements=1000 + i, zeros=400 + 7 * i % 500, damage=0.01 + 0.0001 * i)
        for i in range(count)
    )


def kernels(count: int) -> tuple[KernelReport, ...]:
    return tuple(
        KernelReport(
            node=f"/conv{i}", operators="Conv+Relu", kernel="planes", ms=0.1 + 0.003 * i, limit_ms=0.04 + 0.001 * i
        )
        for i in range(count)
    )


def full() -> Report:
    """A report in which every field has a value of its own."""
    inside: dict[str, Any] = {"layers": layers(45), "kernels": kernels(50)}
    files: dict[str, Any] = {"compiled": "a.gp", "compiled_bytes": 456_789, "max_error": 3.25e-7}
    return report(
        candidate(
            "wanda 60%",
            0.91,
            4.5,
            predicted_ms=4.7,
            steps=("graphprune prune -o a.onnx", "graphprune compile a.onnx"),
            **inside,
            **files,
        ),
        candidate("sparsegpt 60%", 0.93, 4.6, predicted_ms=4.4, **inside),
        candidate("int8", 0.92, 6.5, layers=(LayerReport(name="w", elements=10, zeros=0),)),
        rivals=(rival(), rival("openvino", 0.94, 8.0)),
        refused=(RefusedReport(name="2:4", code="GP310", reason="w has 3 inputs"),),
        recommended="sparsegpt 60%",
        why="it is the fastest with an agreement of 0.92",
        least_quality=0.92,
        most_ms=5.25,
        samples=777,
        machine=MachineReport(
            cpu="Xeon", processors=8, threads=3, target="native", versions={"tvm": "0.27.1"}, commit="abc123"
        ),
    )


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror="alert(1)">',
    "it's ]]> & &lt; <!-- {{ 7 * 7 }} {% raw %}",
    "very/" * 80 + "long",
    "Gewichte größer 重み 🐟",
    "null\x00 bell\x07 escape\x1b return\r delete\x7f turned\u202e line\u2028",
    "",
    "   ",
)
"""Names that files of anybody may have."""
