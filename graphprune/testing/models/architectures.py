"""Real architectures out of `transformers` configurations, exported from torch with weights seeded by us."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphprune.errors import GraphPruneError
from graphprune.frontends.torch_module import from_torch
from graphprune.testing.models.seeding import seed_weights

if TYPE_CHECKING:
    import torch

_Setting = int | list[int] | float
_TINY_TRANSFORMER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}


def _image(module: torch.nn.Module, size: int) -> ir.Model:
    import torch

    return from_torch(module, (torch.zeros(1, 3, size, size),))


def _resnet(size: int, **config: _Setting) -> ir.Model:
    import transformers as tf

    return _image(tf.ResNetForImageClassification(tf.ResNetConfig(**config)), size)


def _mobilenet_v1(size: int, **config: _Setting) -> ir.Model:
    import transformers as tf

    # Padding inside the convolutions, as usual in torch; `mobilenet_v2` keeps TensorFlow's separate Pad nodes.
    return _image(tf.MobileNetV1ForImageClassification(tf.MobileNetV1Config(tf_padding=False, **config)), size)


def _mobilenet_v2(size: int, **config: _Setting) -> ir.Model:
    import transformers as tf

    return _image(tf.MobileNetV2ForImageClassification(tf.MobileNetV2Config(**config)), size)


def _vit(size: int, **config: _Setting) -> ir.Model:
    import transformers as tf

    return _image(tf.ViTForImageClassification(tf.ViTConfig(image_size=size, **config)), size)


def _bert(tokens: int, **config: _Setting) -> ir.Model:
    import torch
    import transformers as tf

    module = tf.BertModel(tf.BertConfig(**config), add_pooling_layer=False)
    ids, mask = torch.zeros(1, tokens, dtype=torch.int64), torch.ones(1, tokens, dtype=torch.int64)
    return from_torch(module, kwargs={"input_ids": ids, "attention_mask": mask})


ARCHITECTURES: dict[str, tuple[str, Callable[[], ir.Model]]] = {
    "resnet50": ("logits", lambda: _resnet(224, num_labels=1000)),
    "mobilenet_v1": ("logits", lambda: _mobilenet_v1(224, num_labels=1000)),
    "mobilenet_v2": ("logits", lambda: _mobilenet_v2(224, num_labels=1000)),
    "bert_base": ("last_hidden_state", lambda: _bert(128)),
    "vit_small": (
        "logits",
        lambda: _vit(224, hidden_size=384, num_attention_heads=6, intermediate_size=1536, num_labels=1000),
    ),
    "resnet_tiny": (
        "logits",
        lambda: _resnet(32, embedding_size=16, hidden_sizes=[64, 128], depths=[2, 2], num_labels=10),
    ),
    "mobilenet_tiny": ("logits", lambda: _mobilenet_v1(96, depth_multiplier=0.25, num_labels=10)),
    "bert_tiny": (
        "last_hidden_state",
        lambda: _bert(16, vocab_size=200, **_TINY_TRANSFORMER),
    ),
    "vit_tiny": ("logits", lambda: _vit(32, patch_size=8, num_labels=10, **_TINY_TRANSFORMER)),
}


def build_architecture(name: str) -> ir.Model:
    """Export and seed one of `ARCHITECTURES`; torch and transformers are needed."""
    output, export = ARCHITECTURES[name]
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise GraphPruneError(
            f"model '{name}' needs transformers, which is not installed: pip install 'graphprune[dev]'", code="GP124"
        ) from error
    model = export()
    model.graph.outputs[0].name = output
    seed_weights(model)
    return model
