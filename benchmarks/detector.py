"""A detector whose last nodes have no kernel: code with a fallback beside ONNX Runtime for all of it.

    python -m benchmarks.detector [--sparsity 0.9] [--threads 1] [--runs 100]

MobileNetV1 with the head of an SSD on two of its feature maps, seeded weights: 1,470 boxes of 20 classes, decoded,
cut down by NonMaxSuppression to at most 20 a class. Prints what runs where, and the medians of runs in turns.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import onnx
import onnx_ir as ir
from onnx import compose, numpy_helper, parser

import graphprune as gp
from benchmarks.models import pruned
from graphprune.cli.fallback import measured_share, print_hosted
from graphprune.measuring.environment import pinned
from graphprune.testing import models
from graphprune_runtime.session import CompiledSession

CLASSES, ANCHORS = 20, 6
FEATURES = {"hardtanh_22": (512, 14), "hardtanh_26": (1024, 7)}

LEVEL = """
    raw_{what}{n} = Conv <pads = [1,1,1,1]> (f{n}, {what}{n})
    turned_{what}{n} = Transpose <perm = [0,2,3,1]> (raw_{what}{n})
    flat_{what}{n} = Reshape (turned_{what}{n}, of_{what})"""

TAIL = """
    all_boxes = Concat <axis = 1> (flat_boxes0, flat_boxes1) all_scores = Concat <axis = 1> (flat_scores0, flat_scores1)
    moved, size = Split <axis = 2, num_outputs = 2> (all_boxes)
    center = Add (moved, places) extent = Exp (size) boxes = Concat <axis = 2> (center, extent)
    likely = Sigmoid (all_scores) scores = Transpose <perm = [0,2,1]> (likely)
    kept = NonMaxSuppression <center_point_box = 1> (boxes, scores, most, overlap, least)"""


def head() -> onnx.ModelProto:
    """The nodes behind the backbone."""
    rng = np.random.default_rng(0)
    inputs = ", ".join(f"float[1,{c},{side},{side}] f{n}" for n, (c, side) in enumerate(FEATURES.values()))
    nodes = "".join(LEVEL.format(n=n, what=what) for n in range(len(FEATURES)) for what in ("boxes", "scores")) + TAIL
    text = f"head ({inputs}) => (float[1,n,4] boxes, int64[n,3] kept) {{{nodes} }}"
    model: onnx.ModelProto = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]>\n{text}')
    count = ANCHORS * sum(side * side for _, side in FEATURES.values())
    constants = {
        "of_boxes": np.array([1, -1, 4]),
        "of_scores": np.array([1, -1, CLASSES]),
        "places": rng.random((1, count, 2), np.float32) * 20,
        "most": np.array([20]),
        "overlap": np.array([0.5], np.float32),
        "least": np.array([0.9], np.float32),
    }
    for n, (channels, _) in enumerate(FEATURES.values()):
        for name, size in (("boxes", 4), ("scores", CLASSES)):
            shape = (ANCHORS * size, channels, 3, 3)
            constants[f"{name}{n}"] = rng.standard_normal(shape, np.float32) * np.float32(8 / math.sqrt(9 * channels))
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


def detector() -> ir.Model:
    """The whole model."""
    backbone = models.build("mobilenet_v1")
    backbone.graph.outputs[:] = [next(v for v in values(backbone) if v.name == name) for name in FEATURES]
    proto = ir.to_proto(backbone)
    after = onnx.version_converter.convert_version(head(), backbone.opset_imports[""])
    after.ir_version = proto.ir_version
    joined = compose.merge_models(proto, after, [(name, f"f{n}") for n, name in enumerate(FEATURES)])
    return ir.from_proto(joined)


def values(model: ir.Model) -> list[ir.Value]:
    """What nodes give."""
    return [value for node in model.graph for value in node.outputs]


def main() -> None:
    """Compile, verify, time."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sparsity", type=float, default=0.9)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--runs", type=int, default=100)
    given = options.parse_args()
    dense = detector()
    sparse = pruned(dense, given.sparsity)
    with pinned(given.threads):
        session = gp.compile(sparse, threads=given.threads, fallback="onnxruntime")
        assert isinstance(session, CompiledSession)
        print_hosted(session.description.programs[0], measured_share(sparse, session))
        print(gp.verify(sparse, session).passed)
        rivals = {
            "onnxruntime, sparse file": gp.compile(sparse, backend="onnxruntime", threads=given.threads),
            "onnxruntime, dense file": gp.compile(dense, backend="onnxruntime", threads=given.threads),
        }
        report = gp.bench({"with fallback": session, **rivals}, models.random_feed(dense, 0), given.threads, given.runs)
    for timing in report.timings:
        print(f"{timing.label}: {timing.median_ms:.2f} ms, {timing.speedup:.2f}x")
    print(report.environment.cpu, report.environment.versions)


if __name__ == "__main__":
    main()
