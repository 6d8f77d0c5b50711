"""Time and memory of pruning and folding a Llama of 1.1 billion parameters.

    python -m benchmarks.fold_large [--layers 22]

Exports TinyLlama's shape with seeded weights (needs 14 GB of memory and 7 GB of disk), then runs `graphprune prune
--pattern channel` in a process of its own, and prints its wall time and its largest memory beyond mapped files.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.large_models import export, measured, size_of


def main() -> None:
    """Export, prune, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=22)
    layers = parser.parse_args().layers
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "llama.onnx"), Path(folder, "small.onnx")
        config = {"hidden_size": 2048, "intermediate_size": 5632, "num_key_value_heads": 4}
        export(source, tokens=16, num_hidden_layers=layers, **config)
        found = measured("prune", source, target, "--pattern", "channel", "--sparsity", "0.5")
        sizes = f"{size_of(source):.2f} GB to {size_of(target):.2f} GB"
        print(f"{found.last_line}\n{sizes} in {found.seconds:.1f} s, {found.peak_mib:.0f} MB at most")


if __name__ == "__main__":
    main()
