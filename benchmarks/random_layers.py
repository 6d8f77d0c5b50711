"""Random layers, compiled in all ways there are, each against ONNX Runtime without optimisations.

    python -m benchmarks.random_layers --cases 10000 --seed 1 [--check-bounds]

A failure is shrunk and printed: it belongs into `tests/backends/tvm` as a test of its own.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, seed, settings

from tests.backends.tvm.layer_choices import Choices, check, choices
from tests.backends.tvm.layer_drafts import layers
from tests.backends.tvm.layers import Layer

MOST_TOGETHER = 12
"""Layers that are compiled in one model, at most; half as many on average."""


def main() -> None:
    """Run, and print what there was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10000, help="Random layers, about.")
    parser.add_argument("--seed", type=int, default=0, help="Another seed gives other layers.")
    parser.add_argument("--check-bounds", action="store_true", help="Compare every access with the size of its buffer.")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()

    examples = -(-arguments.cases // (MOST_TOGETHER // 2))

    @seed(arguments.seed)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(layers(MOST_TOGETHER), choices())
    def run(drawn: Sequence[Layer], chosen: Choices) -> None:
        kernels = check(drawn, replace(chosen, check_bounds=arguments.check_bounds))
        counts.update({"models": 1, "layers": len(drawn)})
        counts.update(kernels)

    run()
    print(", ".join(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
