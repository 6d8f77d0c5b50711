"""Recurrent layers as models, and what they are fed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tests.backends.tvm.graphs import parse

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
TYPES = {"float": np.float32, "double": np.float64, "float16": np.float16}


@dataclass(frozen=True)
class Layer:
    """A layer of random weights, `zeros` of which are zero, and which of its optional operands it has."""

    operator: str
    steps: int = 5
    batch: int = 3
    inputs: int = 7
    hidden: int = 20
    direction: str = "forward"
    attributes: str = ""
    operands: tuple[str, ...] = ("b",)
    zeros: float = 0.0
    kind: str = "float"
    batch_first: bool = False

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def state(self) -> tuple[int, ...]:
        directions = (self.directions,)
        return (self.batch, *directions, self.hidden) if self.batch_first else (*directions, self.batch, self.hidden)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the inputs of the graph."""
        ends = (self.batch, self.steps) if self.batch_first else (self.steps, self.batch)
        given: dict[str, tuple[int, ...]] = {"x": (*ends, self.inputs)}
        given |= {"n": (self.batch,)} if "n" in self.operands else {}
        return given | {name: self.state for name in ("h", "c") if name in self.operands}

    def feed(self, seed: int = 1) -> dict[str, np.ndarray]:
        """Random inputs; lengths from 0 to all steps."""
        rng = np.random.default_rng(seed)
        values = {name: rng.standard_normal(shape).astype(TYPES[self.kind]) for name, shape in self.shapes().items()}
        if "n" in values:
            values["n"] = rng.integers(0, self.steps + 1, self.batch).astype(np.int32)
        return values

    def weights(self) -> dict[str, np.ndarray]:
        """The constants."""
        rng, width = np.random.default_rng(0), GATES[self.operator] * self.hidden
        shapes = {"w": (width, self.inputs), "r": (width, self.hidden), "b": (2 * width,), "p": (3 * self.hidden,)}
        values = {name: rng.standard_normal((self.directions, *shape)) for name, shape in shapes.items()}
        for name in ("w", "r"):
            values[name] /= np.sqrt(values[name].shape[-1])
            values[name][rng.random(values[name].shape) < self.zeros] = 0
        kept = ("w", "r", *self.operands)
        return {name: value.astype(TYPES[self.kind]) for name, value in values.items() if name in kept}

    def text(self, outputs: tuple[str, ...] | None = None) -> str:
        """The graph."""
        names = ("y", "yh", "yc") if self.operator == "LSTM" else ("y", "yh")
        kept = names if outputs is None else outputs
        given = ", ".join(
            f"{'int32' if name == 'n' else self.kind}[{','.join(map(str, shape))}] {name}"
            for name, shape in self.shapes().items()
        )
        state = ",".join(map(str, self.state))
        sequence = f"{self.batch},{self.steps},{self.directions},{self.hidden}"
        whole = sequence if self.batch_first else f"{self.steps},{state}"
        results = ", ".join(f"{self.kind}[{whole if name == 'y' else state}] {name}" for name in names if name in kept)
        shown = ", ".join(name if name in kept else '""' for name in names)
        operands = ", ".join(name if name in self.operands else '""' for name in ("b", "n", "h", "c", "p"))
        layout = ", layout=1" if self.batch_first else ""
        attributes = f'hidden_size={self.hidden}, direction="{self.direction}"{layout}{self.attributes}'
        operands = operands if self.operator == "LSTM" else ", ".join(operands.split(", ")[:3])
        return f"g ({given}) => ({results}) {{ [cell] {shown} = {self.operator}<{attributes}>(x, w, r, {operands}) }}"

    def model(self, outputs: tuple[str, ...] | None = None) -> ir.Model:
        """The layer alone, with these of its outputs (all unless given)."""
        return parse(self.text(outputs), self.weights())
