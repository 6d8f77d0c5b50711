"""Named models with seeded random weights: the same on every machine, built without a network.

Three families: real architectures from `transformers` configurations (`resnet50`, `bert_base`, ..., which need torch
and transformers), tiny versions of them for tests (`resnet_tiny`, ...), and what the base install can build (`demo` and
the `light_...` files of the `onnx` package).
"""

from __future__ import annotations

import onnx_ir as ir

from graphprune.errors import InputError
from graphprune.testing.models import architectures, demo, light, structures, zoo
from graphprune.testing.models.cache import cached
from graphprune.verification.feeds import random_feed

__all__ = ["build", "names", "random_feed"]


def names() -> list[str]:
    """Every name that `build` knows."""
    return ["demo", *architectures.ARCHITECTURES, *light.light_names()]


def build(name: str) -> ir.Model:
    """Build the model `name`, or read it from the cache of models built earlier.

    Args:
        name: One of `names()`, of `structures.STRUCTURES`, or of `zoo.ZOO`.

    Returns:
        A model in the caller's hands: a new one each time.

    Raises:
        InputError: The name is unknown.
        GraphPruneError: A package that the model is built from is missing.
    """
    if name == "demo":
        return demo.build_demo()
    if name in architectures.ARCHITECTURES:
        return cached(name, lambda: architectures.build_architecture(name), ("torch", "transformers"))
    if name in structures.STRUCTURES:
        return cached(name, lambda: structures.build_structure(name), ("torch", "transformers"))
    if name in zoo.ZOO:
        return cached(name, lambda: zoo.build_zoo(name), ("torch", "transformers"))
    if name in light.light_names():
        return cached(name, lambda: light.build_light(name), ("onnx", "onnxruntime"))
    raise InputError(f"no model is called '{name}'; there are {', '.join(names())}", code="GP123")
