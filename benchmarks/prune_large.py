"""Time and memory of SparseGPT on blocks of a Llama of 7 billion parameters.

    python -m benchmarks.prune_large [--blocks 2] [--samples 32] [--repair drift,least-squares]

Exports some blocks of LLaMA-2 7B's shape with seeded weights (0.8 GB each, and 1 GB of embeddings), then runs
`graphprune prune --criterion sparsegpt --pattern 2:4` on rows of 512 random tokens in a process of its own, and prints
its wall time a block and its largest memory beyond mapped files.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.large_models import export, measured, size_of

TOKENS = 512
_VOCABULARY = 32000


def main() -> None:
    """Export, prune, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--repair", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target, data = (Path(folder, name) for name in ("llama.onnx", "sparse.onnx", "tokens.npz"))
        export(source, tokens=TOKENS, num_hidden_layers=options.blocks, hidden_size=4096, intermediate_size=11008)
        rows = np.random.default_rng(0).integers(0, _VOCABULARY, (options.samples, TOKENS))
        np.savez(data, input_ids=rows)
        given = ("--criterion", "sparsegpt", "--pattern", "2:4", "--ignore", "lm_head.weight", "--calibration", data)
        repair = () if options.repair is None else ("--repair", options.repair)
        found = measured("prune", source, target, *given, "--samples", str(options.samples), *repair)
        tokens, a_block = f"{options.samples} x {TOKENS} tokens", found.seconds / options.blocks
        print(f"{found.last_line}\n{size_of(source):.2f} GB, {options.blocks} blocks, {tokens}")
        print(f"{found.seconds:.0f} s, {a_block:.0f} s a block, {found.peak_mib:.0f} MB at most beyond mapped files")


if __name__ == "__main__":
    main()
