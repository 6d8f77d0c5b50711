"""Recurrent layers: of speech and text, from 64 to 512 units, one direction and two."""

from __future__ import annotations

from benchmarks.operators.case import Case, case


def _layer(operator: str, steps: int, inputs: int, units: int, directions: int = 1, batch: int = 1) -> Case:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator]
    weights = (
        f"={directions}x{gates * units}x{inputs}",
        f"={directions}x{gates * units}x{units}",
        f"={directions}x{2 * gates * units}",
    )
    outputs = 3 if operator == "LSTM" else 2
    direction = "forward" if directions == 1 else "bidirectional"
    operands = (f"{steps}x{batch}x{inputs} <1", *weights)
    return case(operator, *operands, outputs=outputs, hidden_size=units, direction=direction)


RECURRENT = (
    _layer("LSTM", 64, 80, 64),
    _layer("LSTM", 100, 128, 128),
    _layer("LSTM", 50, 256, 256, directions=2),
    _layer("LSTM", 16, 512, 512),
    _layer("LSTM", 1, 512, 512),
    _layer("LSTM", 32, 128, 128, batch=8),
    _layer("GRU", 100, 64, 64),
    _layer("GRU", 50, 256, 256),
    _layer("GRU", 32, 512, 512, directions=2),
    _layer("RNN", 100, 128, 128),
    _layer("RNN", 32, 256, 256, directions=2),
)
