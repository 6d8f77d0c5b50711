"""ResNet-20 on CIFAR-10, the checkpoint of docs/accuracy.md: the share of test images that it names right."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

import graphprune as gp
from benchmarks.accuracy.data import Split, load_split, normalized
from benchmarks.accuracy.pretrain import pretrained
from benchmarks.one_shot.sources import Sources
from benchmarks.one_shot.subject import Array, Prepared, spread

CALIBRATION = 512


class ResNet20:
    """The dense network that the study of training starts from."""

    metric = "top-1"
    more_is_better = True

    def prepare(self, sources: Sources) -> Prepared:
        """Export the checkpoint; all test images are held out."""
        train, test = (load_split(sources.cifar10, sources.packages, name) for name in ("train", "test"))
        model = gp.from_torch(pretrained().eval(), (torch.zeros(1, 3, 32, 32),))
        name = str(model.graph.inputs[0].name)
        calibration = {name: spread(_images(train), CALIBRATION)}
        return Prepared(model, calibration, {name: _images(test)}, test.labels.numpy())

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        """The share of right answers."""
        return top_1(outputs, expected)


def top_1(outputs: Iterable[Array], expected: Array) -> float:
    """The share of samples whose largest score [1, classes] is that of the expected class."""
    chosen = [int(scores.argmax()) for scores in outputs]
    return float(np.mean(np.equal(chosen, expected)))


def _images(split: Split) -> Array:
    """All images as the network takes them."""
    return np.ascontiguousarray(normalized(split.images).numpy())
