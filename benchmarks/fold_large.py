"""Time and memory of pruning and folding a Llama of 1.1 billion parameters.

    python -m benchmarks.fold_large [--layers 22]

Exports TinyLlama's shape with seeded weights (needs 14 GB of memory and 7 GB of disk), then runs `graphprune prune
--pattern channel` in a process of its own, and prints its wall time and its largest memory beyond mapped files.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRUNE = [sys.executable, "-c", "import sys; from graphprune.cli import main; sys.exit(main())", "prune"]
OPTIONS = ["--pattern", "channel", "--sparsity", "0.5"]
EXPORT = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from graphprune.frontends.onnx_file import save
from graphprune.frontends.torch_module import from_torch
torch.manual_seed(0)
config = LlamaConfig(vocab_size=32000, hidden_size=2048, num_hidden_layers=int(sys.argv[2]), num_attention_heads=32,
                     num_key_value_heads=4, intermediate_size=5632, use_cache=False)
ids = torch.zeros(1, 16, dtype=torch.int64)
save(from_torch(LlamaForCausalLM(config).eval(), kwargs={"input_ids": ids}), sys.argv[1])
"""


def anonymous_kib(pid: int) -> int:
    """Return the memory of a process that belongs to no file, in KiB; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    return 0


def main() -> None:
    """Export, prune, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=22)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "llama.onnx"), Path(folder, "small.onnx")
        command = [sys.executable, "-c", EXPORT, str(source), str(options.layers)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        start, peak = time.perf_counter(), 0
        process = subprocess.Popen([*PRUNE, str(source), str(target), *OPTIONS], stdout=subprocess.PIPE)  # noqa: S603
        while process.poll() is None:
            peak = max(peak, anonymous_kib(process.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        assert process.stdout is not None
        sizes = [sum(each.stat().st_size for each in Path(folder).glob(f"{path.stem}*")) for path in (source, target)]
        print(process.stdout.read().decode().splitlines()[-1])
        print(f"{sizes[0] / 1e9:.2f} GB to {sizes[1] / 1e9:.2f} GB in {seconds:.1f} s, {peak / 1024:.0f} MB at most")


if __name__ == "__main__":
    main()
