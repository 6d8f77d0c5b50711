"""Pruned models on graphprune and its peers: one table, one picture.

    python -m benchmarks.peers [MODEL ...] [--sparsity 0 0.5 0.9] [--peer NAME ...] [--threads 1] [--runs 20]
                               [--batch 1] [--picture FILE.svg] [--json FILE.json]

Each peer runs the same pruned file on the same inputs, in a process and, where it must, an environment of its own,
which is made in the user's cache folder when first needed. The processes take turns on the same processors; one that
waits is stopped. Times are medians; a ratio is a peer's time over ours. The limit is the time of the multiply-adds by
nonzeros at the peak of the machine, which is measured first. A picture needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.patterns import pruned
from benchmarks.peers.batch import with_batch
from benchmarks.peers.limit import limit_ms
from benchmarks.peers.measure import measure
from benchmarks.peers.peers import PEERS
from benchmarks.peers.picture import draw
from benchmarks.peers.results import Comparison, Row
from benchmarks.peers.table import footnotes, heading, line
from graphprune.backends.tvm.building.roofline import measure_roofline
from graphprune.measuring.environment import pinned, read_environment
from graphprune.targets.target import resolve_target
from graphprune.testing import models

DEFAULT = ("resnet50", "bert_base", "mobilenet_v1")
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)


def main() -> None:
    """Measure, and print every row as soon as it is there."""
    options = _options()
    with pinned(options.threads):
        peak = measure_roofline(resolve_target("native"), options.threads)
    comparison = Comparison(read_environment(), options.threads, options.batch, peak.gflops, options.peer)
    print(heading(options.peer))
    for name in options.models:
        dense = with_batch(models.build(name), options.batch) if options.batch > 1 else models.build(name)
        for sparsity in options.sparsity:
            model = pruned(dense, f"unstructured@{sparsity}")
            outcomes = measure(model, [PEERS[peer] for peer in options.peer], options.threads, options.runs)
            comparison.rows.append(Row(name, sparsity, limit_ms(model, peak), outcomes))
            print(line(comparison.rows[-1], options.peer), flush=True)
            _keep(comparison, options.json, options.picture)
    print(f"\n{footnotes(comparison)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", default=DEFAULT, help=f"of {', '.join(models.names())}")
    parser.add_argument("--sparsity", nargs="+", type=float, default=SPARSITIES, help="shares of zeros")
    parser.add_argument("--peer", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20, help="timed runs of each peer and file")
    parser.add_argument("--batch", type=int, default=1, help="inputs of one run")
    parser.add_argument("--picture", type=Path, help="also draw the rows to this SVG file")
    parser.add_argument("--json", type=Path, help="also write the rows and the environment here")
    return parser.parse_args()


def _keep(comparison: Comparison, file: Path | None, picture: Path | None) -> None:
    """Write what there is so far: the whole takes an hour."""
    if file is not None:
        file.write_text(json.dumps(comparison.to_dict(), indent=1))
    if picture is not None:
        draw(comparison, picture)


if __name__ == "__main__":
    main()
