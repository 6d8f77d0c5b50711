"""Prune a small network by a recipe, look at the plan, pack the result, and check that it computes the same.

python examples/prune_and_pack.py [FOLDER]

writes plan.yaml, pruned.onnx and packed.onnx to FOLDER (the current one, unless given).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir

import graphprune as gp

RECIPE = Path(__file__).with_name("recipe.yaml")
NETWORK = """<ir_version: 10, opset_import: ["" : 18]>
network (float[N,8,16,16] image, float[32,8,3,3] "conv1.weight", float[64,32,3,3] "conv2.weight",
         float[10,64] "classifier.weight") => (float[N,10] scores) {
    a = Conv <pads = [1, 1, 1, 1]> (image, "conv1.weight")
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (b, "conv2.weight")
    d = Relu (c)
    e = GlobalAveragePool (d)
    f = Flatten (e)
    scores = Gemm <transB = 1> (f, "classifier.weight")
}"""


def network() -> ir.Model:
    """Return a small convolutional network with seeded random weights."""
    model = ir.from_onnx_text(NETWORK)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        shape = value.shape.numpy() if value.shape is not None else ()
        value.const_value = ir.tensor(rng.normal(0, 0.1, shape).astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def main(folder: Path) -> None:
    """Run the example; the files go to `folder`."""
    model = network()
    plan = gp.plan(model, gp.Recipe.load(RECIPE))
    plan.save(folder / "plan.yaml")
    print(plan.to_yaml())

    pruned = gp.Pipeline([gp.passes.PruneWeights(plan)]).run(model)
    gp.save(pruned.model, folder / "pruned.onnx")
    packed = gp.Pipeline([gp.passes.PackWeights()]).run(pruned.model)
    gp.save(packed.model, folder / "packed.onnx")
    for line in (*pruned.rewrites, *packed.rewrites, *packed.skips):
        print(line)

    gp.verify(folder / "pruned.onnx", folder / "packed.onnx").raise_for_failure()
    sizes = [(folder / name).stat().st_size for name in ("pruned.onnx", "packed.onnx")]
    print(f"packed.onnx computes what pruned.onnx computes, in {sizes[1]} bytes instead of {sizes[0]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
