"""One small network for each structure that channels run through: joins, splits, groups, gates, heads, norms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphprune.frontends.torch_module import from_torch
from graphprune.testing.models.seeding import seed_weights

if TYPE_CHECKING:
    import torch

_SIZE = 32  # of images
_TOKENS = 12
_ENCODER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}

Example = tuple["torch.nn.Module", dict[str, "torch.Tensor"]]
"""A module and its keyword inputs."""


def _network(name: str) -> Example:
    import torch

    from graphprune.testing.models import networks

    module: torch.nn.Module = getattr(networks, name)()
    if name == "DiffusionBlock":
        return module, {"x": torch.zeros(1, 4, 16, 16), "time": torch.zeros(1, 16)}
    return module, {"x" if name[0].isupper() else "input": torch.zeros(1, 3, _SIZE, _SIZE)}


def _images(name: str, **config: Any) -> Example:  # noqa: ANN401 - whatever a configuration has
    import torch

    return _transformer(f"{name}ForImageClassification", name, config), {
        "pixel_values": torch.zeros(1, 3, _SIZE, _SIZE)
    }


def _text(model: str, name: str, **config: Any) -> Example:  # noqa: ANN401 - whatever a configuration has
    import torch

    ids = torch.zeros(1, _TOKENS, dtype=torch.int64)
    return _transformer(model, name, config), {"input_ids": ids} | ({"decoder_input_ids": ids} if name == "T5" else {})


def _speech() -> Example:
    import torch
    import transformers as tf
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = tf.WhisperConfig(
        d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=128, num_mel_bins=16,
        max_source_positions=16,
    )  # fmt: skip
    return WhisperEncoder(config), {"input_features": torch.zeros(1, 16, 32)}


def _transformer(model: str, name: str, config: dict[str, Any]) -> torch.nn.Module:
    import transformers as tf

    module: torch.nn.Module = getattr(tf, model)(getattr(tf, f"{name}Config")(**config))
    return module


STRUCTURES: dict[str, Callable[[], Example]] = {
    **{f"{name}_small": partial(_network, name) for name in ("resnext", "mobilenet_v3", "shufflenet_v2")},
    "unet_small": partial(_network, "UNet"),
    "detector_small": partial(_network, "Detector"),
    "diffusion_block": partial(_network, "DiffusionBlock"),
    "mobilenet_v2_small": partial(_images, "MobileNetV2", depth_multiplier=0.35),
    "efficientnet_small": partial(
        _images, "EfficientNet", width_coefficient=0.5, depth_coefficient=0.3, hidden_dim=640, image_size=_SIZE
    ),
    "regnet_small": partial(
        _images, "RegNet", embedding_size=16, hidden_sizes=[32, 64], depths=[1, 2], groups_width=8
    ),
    "convnext_small": partial(_images, "ConvNext", num_stages=2, hidden_sizes=[32, 64], depths=[1, 2]),
    "swin_small": partial(
        _images, "Swin", image_size=_SIZE, patch_size=2, embed_dim=32, depths=[2, 2], num_heads=[2, 4], window_size=4,
        attn_implementation="eager",
    ),
    "deit_small": partial(_images, "DeiT", image_size=_SIZE, patch_size=8, **_ENCODER),
    "bert_eager": partial(
        _text, "BertForSequenceClassification", "Bert", vocab_size=100, attn_implementation="eager", **_ENCODER
    ),
    "bert_sdpa": partial(_text, "BertModel", "Bert", vocab_size=100, attn_implementation="sdpa", **_ENCODER),
    "gpt2_small": partial(
        _text, "GPT2LMHeadModel", "GPT2", vocab_size=100, n_positions=32, n_embd=64, n_layer=2, n_head=4,
        use_cache=False,
    ),
    "llama_small": partial(
        _text, "LlamaForCausalLM", "Llama", vocab_size=100, num_key_value_heads=2, use_cache=False, **_ENCODER
    ),
    "t5_small": partial(
        _text, "T5ForConditionalGeneration", "T5", vocab_size=100, d_model=64, d_kv=16, d_ff=128, num_layers=2,
        num_heads=4, use_cache=False, attn_implementation="eager",
    ),
    "whisper_encoder": _speech,
}  # fmt: skip
"""What makes each module, and its inputs; torch and transformers are needed."""


def build_structure(name: str) -> ir.Model:
    """Export and seed one of `STRUCTURES`."""
    module, inputs = STRUCTURES[name]()
    model = from_torch(module.eval(), kwargs=inputs)
    seed_weights(model)
    return model
