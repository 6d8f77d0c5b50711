"""How each peer opens a file at its best: an `Opener` takes file, inputs and threads to a `Run`.

They run inside `worker`, in the peer's own environment, and import no more than that has. Every run takes the inputs as
arrays of NumPy and gives the outputs as such, in the order of the file, without a copy where the peer can.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

Feed = dict[str, Any]
Run = Callable[[], list[np.ndarray]]
Opener = Callable[[str, Feed, int], Run]


def graphprune(path: str, feed: Feed, threads: int) -> Run:
    """Ours: what was compiled for this machine."""
    from graphprune_runtime import load_session

    session = load_session(path, threads)
    return lambda: session.run(None, feed)


def onnxruntime(path: str, feed: Feed, threads: int) -> Run:
    """All graph optimisations on."""
    from graphprune.backends.onnxruntime import session_for_file

    session = session_for_file(path, threads)
    return lambda: session.run(None, feed)


def openvino(path: str, feed: Feed, threads: int) -> Run:
    """One stream for the least latency, in float32.

    Its `CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE` is for products of 8-bit integers on processors with AMX, and changes
    nothing for float32.
    """
    import openvino as ov

    hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.compile_model(path, "CPU", {**hints, "INFERENCE_NUM_THREADS": threads})
    request = compiled.create_infer_request()

    def run() -> list[np.ndarray]:
        results = request.infer(feed, share_inputs=True, share_outputs=True)
        return [results[output] for output in compiled.outputs]

    return run


def deepsparse(path: str, feed: Feed, threads: int) -> Run:
    """The engine itself, without its checks of the inputs; the file is one of `deepsparse_form`."""
    from deepsparse import Engine

    batch = len(next(iter(feed.values())))
    engine = Engine(path, batch_size=batch, num_cores=threads)
    inputs = [np.ascontiguousarray(feed[name]) for name in engine.input_names]
    return lambda: engine.run(inputs, val_inp=False)


def tvm(path: str, feed: Feed, threads: int) -> Run:
    """Relax's import of ONNX and its default pipeline for processors, which fuses but does not tune."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    from graphprune.targets.target import resolve_target

    module = relax.transform.DecomposeOpsForInference()(from_onnx(onnx.load(path)))
    target = tvm.target.Target({**resolve_target("native").llvm, "num-cores": threads})
    executable = tvm.compile(module, target, relax_pipeline=relax.get_default_pipeline(target))
    main = relax.VirtualMachine(executable, tvm.cpu())["main"]
    inputs = [tvm.runtime.tensor(feed[parameter.name]) for parameter in module["main"].params]

    def run() -> list[np.ndarray]:
        results = main(*inputs)
        return [each.numpy() for each in (results if isinstance(results, tvm.ir.Array) else [results])]

    return run
