"""What integers of 8 bits cost, before and after each repair, on inputs that the calibration did not see.

python -m benchmarks.quantization_error mobilenet_v1 vit_small
python -m benchmarks.quantization_error model.onnx --calibration seen.npz --held-out unseen.npz
python -m benchmarks.quantization_error resnet20 --data cifar10_jpeg.npz --cache FOLDER

A name is one of `graphprune.testing.models`, of seeded weights and drawn inputs; `resnet20` is the checkpoint of
docs/accuracy.md, whose accuracy on all test images is printed too. Prints rows of a table: the largest error of an
output over its size, of integers alone, with equalized channels, with corrected biases, with both, and as `quantize`
leaves it, which goes by the samples it has seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import onnx_ir as ir

import graphprune as gp
from graphprune.backends.base import tensor_infos
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed, Method, calibrate
from graphprune.calibration.repairs import corrected, equalized, repaired
from graphprune.calibration.trial import Quantized, Trial, relative_errors
from graphprune.passes.normalize import normalize
from graphprune.passes.quantize import name_apart
from graphprune.testing import models
from graphprune.testing.check_pass import open_feeds
from graphprune.verification.samples import feeds_of

SEEN, UNSEEN = 32, 64
"""Samples that ranges are taken from, and on which errors are measured."""

Subject = tuple[ir.Model, Sequence[Feed], Sequence[Feed]]


def from_files(path: Path, seen: Path, unseen: Path) -> Subject:
    """A model and its samples, of arrays that are stacked along the first axis."""
    model = gp.load(path)
    infos = tensor_infos(model.graph.inputs)
    given = [feeds_of([dict(np.load(each, allow_pickle=False))], infos) for each in (seen, unseen)]
    return model, list(islice(given[0], SEEN)), list(islice(given[1], UNSEEN))


def from_name(name: str) -> Subject:
    """A model of seeded weights."""
    model = models.build(name)
    feeds = open_feeds(model, 2 * SEEN)
    return model, feeds[:SEEN], feeds[SEEN:]


def images(split: object, name: str) -> Iterator[Feed]:
    """The images of a split of CIFAR-10, one by one."""
    from benchmarks.accuracy.data import Split, batches

    assert isinstance(split, Split)
    for image, _ in batches(split, 1):
        yield {name: np.ascontiguousarray(image.numpy())}


def resnet20(data: Path, cache: Path) -> None:
    """The trained network: its errors, then its accuracy."""
    import torch

    from benchmarks.accuracy.data import load_split
    from benchmarks.accuracy.pretrain import pretrained

    train, test = (load_split(data, cache, name) for name in ("train", "test"))
    model = gp.from_torch(pretrained().eval(), (torch.zeros(1, 3, 32, 32),))
    name = str(model.graph.inputs[0].name)
    found = row("resnet20", (model, list(islice(images(train, name), SEEN)), list(islice(images(test, name), UNSEEN))))
    for each in (model, found.result.model):
        session = session_for(each, optimize=False)
        chosen = [int(session.run(None, feed)[0].argmax()) for feed in images(test, name)]
        print(f"top-1: {np.mean(np.equal(chosen, test.labels.numpy())):.2%}", flush=True)


def row(name: str, subject: Subject) -> Quantized:
    """Print the errors of one model, and return what `quantize` makes of it."""
    given, seen, unseen = subject
    model = normalize(given).model
    name_apart(model.graph)
    plain = Trial(model, model, calibrate(model, seen), seen, Method.MINMAX).without(())
    equal = equalized(plain).without(())
    steps = [plain, equal, corrected(plain).without(()), corrected(equal).without(()), chosen := repaired(plain)]
    errors = [max(relative_errors(model, each.result.model, unseen).values()) for each in steps]
    print(f"| {name} |", " | ".join(f"{error:.2%}" for error in errors), "|", flush=True)
    return chosen


def main() -> None:
    """Print the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="models, or one .onnx file")
    parser.add_argument("--calibration", type=Path, help="a .npz of inputs that are seen")
    parser.add_argument("--held-out", type=Path, help="a .npz of inputs that are not")
    parser.add_argument("--data", type=Path, help="the .npz of CIFAR-10 as JPEG files")
    parser.add_argument("--cache", type=Path, help="a folder for decoded images")
    options = parser.parse_args()
    print("| model | integers | equalized | biases corrected | both | chosen |\n|---|---|---|---|---|---|")
    for name in options.names:
        if name == "resnet20":
            resnet20(options.data, options.cache)
        elif name.endswith(".onnx"):
            row(Path(name).stem, from_files(Path(name), options.calibration, options.held_out))
        else:
            row(name, from_name(name))


if __name__ == "__main__":
    main()
