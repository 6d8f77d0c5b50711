"""What runs a model: graphprune on the file with each share of zeros, and the others on the dense file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks.patterns import pruned
from benchmarks.peers.peers import OURS, PEERS, Peer
from graphprune.testing.models.zoo import ZOO

PATTERNS = {
    "0%": None,
    "50%": "unstructured@0.5",
    "80%": "unstructured@0.8",
    "90%": "unstructured@0.9",
    "2:4": "2:4",
}
"""By the name of the column."""

RIVALS = ("onnxruntime", "openvino")
"""They get no faster by zeros."""

MODELS = (
    *("resnet50", "mobilenet_v1", "mobilenet_v2", "bert_base", "vit_small", "light_bvlc_alexnet", "light_densenet121"),
    *("light_inception_v1", "light_inception_v2", "light_shufflenet", "light_squeezenet", "light_vgg19"),
    *("light_zfnet512", *ZOO),
)


def sides(columns: tuple[str, ...], rivals: tuple[str, ...]) -> list[Peer]:
    """All of one comparison, as peers."""
    return [*(_ours(name) for name in columns), *(PEERS[name] for name in rivals)]


def _ours(column: str) -> Peer:
    pattern = PATTERNS[column]
    form = None if pattern is None else partial(pruned, pattern=pattern)
    return replace(PEERS[OURS], name=column, form=form, is_pruned=form is not None)
