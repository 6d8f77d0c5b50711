"""Peak resident memory of a process that loads a model and runs it: ONNX Runtime on the dense file, and compiled code.

    python -m benchmarks.memory [MODEL ...] [--sparsity 0.9]

Each side is a process of its own that imports what it needs to run a model, and no more. The last column is what a
second session of the same file adds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import graphprune as gp
from benchmarks.patterns import pruned
from graphprune.measuring.environment import read_environment
from graphprune.testing import models
from graphprune.verification.feeds import index_limits, random_feed

DEFAULT = ("resnet50", "mobilenet_v1", "bert_base")

WORKER = """
import json, re, sys
import numpy as np
path, feed = sys.argv[1], dict(np.load(sys.argv[2]))
if path.endswith(".onnx"):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    open_session = lambda path: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
else:
    from graphprune_runtime import load_session as open_session

def megabytes(file, name):
    return int(re.search(name + r":\\s*(\\d+)", open("/proc/self/" + file).read())[1]) / 1024

def run():
    session = open_session(path)
    session.run(None, feed)
    return session

before = megabytes("status", "VmRSS")
first = run()
peak, once = megabytes("status", "VmHWM"), megabytes("smaps_rollup", "Pss")
second = run()
print(json.dumps([before, peak, megabytes("smaps_rollup", "Pss") - once]))
"""


def peaks(path: Path, feed: Path) -> list[float]:
    """MB of the imports, at the peak of the first session, and of a second one beside it, shared pages counted once."""
    command = [sys.executable, "-c", WORKER, str(path), str(feed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    numbers: list[float] = json.loads(done.stdout)
    return numbers


def measure(name: str, sparsity: float) -> list[str]:
    """Rows of the Markdown table."""
    dense = models.build(name)
    with tempfile.TemporaryDirectory() as folder:
        original, compiled, feed = (Path(folder) / file for file in ("dense.onnx", "pruned.so", "feed.npz"))
        gp.save(dense, original)
        session = gp.compile(pruned(dense, f"unstructured@{sparsity}"))
        session.save(compiled)
        np.savez(feed, allow_pickle=False, **random_feed(session.get_inputs(), 0, {}, index_limits(dense)))
        theirs, ours = peaks(original, feed), peaks(compiled, feed)
    rows = ("ONNX Runtime, dense", theirs), (f"graphprune, {sparsity:.0%} zeros", ours)
    return [
        f"| {name} | {side} | {imports:.0f} | {peak:.0f} | {peak / theirs[1]:.2f}x | {second:.0f} |"
        for side, (imports, peak, second) in rows
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"of {', '.join(models.names())}")
    parser.add_argument("--sparsity", type=float, default=0.9)
    options = parser.parse_args()
    environment = read_environment()
    print(f"{environment.cpu}, {environment.versions}, commit {environment.commit}")
    print("| model | side | imports, MB | peak, MB | ratio | second session, MB |\n|---|---|---|---|---|---|")
    for name in options.models:
        print("\n".join(measure(name, options.sparsity)), flush=True)


if __name__ == "__main__":
    main()
