"""The architectures of the benchmark of record that are not among the others, at the size that people deploy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphprune.frontends.torch_module import from_torch
from graphprune.passes import FoldConstants
from graphprune.passes.base import run_pass
from graphprune.testing.models.seeding import seed_weights

if TYPE_CHECKING:
    import torch

Example = tuple["torch.nn.Module", dict[str, "torch.Tensor"]]
"""A module and its keyword inputs."""

_SMOL = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True, "attn_implementation": "eager",
}  # fmt: skip
"""SmolLM2-135M."""
_MINI = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}


def _own(module: str, name: str, *shape: int) -> Example:
    import importlib

    import torch

    made: torch.nn.Module = getattr(importlib.import_module(f"graphprune.testing.models.{module}"), name)()
    return made, {"x" if name[0].isupper() else "input": torch.zeros(shape)}


_classes = partial(_own, "classifiers")
_maps = partial(_own, "image_maps")
_boxes = partial(_own, "detectors")
_sound = partial(_own, "sounds")


def _diffusion() -> Example:
    import torch

    from graphprune.testing.models.networks import DiffusionBlock

    return DiffusionBlock(320), {"x": torch.zeros(1, 4, 32, 32), "time": torch.zeros(1, 16)}


def _transformer(
    model: str,
    config: str,
    inputs: Callable[[], dict[str, torch.Tensor]],
    **settings: Any,  # noqa: ANN401
) -> Example:
    import transformers as tf

    module: torch.nn.Module = getattr(tf, model)(getattr(tf, f"{config}Config")(**settings))
    return module, inputs()


def _pixels(size: int, channels: int = 3) -> Callable[[], dict[str, torch.Tensor]]:
    def make() -> dict[str, torch.Tensor]:
        import torch

        return {"pixel_values": torch.zeros(1, channels, size, size)}

    return make


def _tokens(count: int, *names: str) -> Callable[[], dict[str, torch.Tensor]]:
    def make() -> dict[str, torch.Tensor]:
        import torch

        return {name: torch.ones(1, count, dtype=torch.int64) for name in names or ("input_ids",)}

    return make


def _floats(name: str, *shape: int) -> Callable[[], dict[str, torch.Tensor]]:
    def make() -> dict[str, torch.Tensor]:
        import torch

        return {name: torch.zeros(shape)}

    return make


def _classifier(name: str, size: int = 224, **settings: Any) -> Callable[[], Example]:  # noqa: ANN401
    return partial(_transformer, f"{name}ForImageClassification", name, _pixels(size), num_labels=1000, **settings)


def _whisper() -> Example:
    import torch
    import transformers as tf
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    sizes = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
    return WhisperEncoder(tf.WhisperConfig(**sizes)), {"input_features": torch.zeros(1, 80, 3000)}


def _decoder_step() -> Example:
    """One token of SmolLM2-135M after 127 others, whose keys and values are inputs."""
    import torch
    import transformers as tf

    from graphprune.testing.models.decoding import DecoderStep

    module = DecoderStep(tf.LlamaForCausalLM(tf.LlamaConfig(**_SMOL)))
    past = torch.zeros(2 * _SMOL["num_hidden_layers"], 1, _SMOL["num_key_value_heads"], 127, 64)  # type: ignore[operator,call-overload]
    return module, {"input_ids": torch.zeros(1, 1, dtype=torch.int64), "past": past}


ZOO: dict[str, Callable[[], Example]] = {
    "resnet18": _classifier(
        "ResNet", embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic"
    ),
    "resnext50": partial(_classes, "resnext50", 1, 3, 224, 224),
    "mobilenet_v3": partial(_classes, "MobileNetV3", 1, 3, 224, 224),
    "shufflenet_v2": partial(_classes, "shufflenet_v2", 1, 3, 224, 224),
    "efficientnet_b0": _classifier("EfficientNet", width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280),
    "regnet_y_008": _classifier(
        "RegNet", embedding_size=32, hidden_sizes=[64, 128, 320, 768], depths=[1, 3, 8, 2], groups_width=16
    ),
    "convnext_tiny": _classifier("ConvNext"),
    "swin_tiny": _classifier("Swin", attn_implementation="eager"),
    "deit_tiny": _classifier("DeiT", hidden_size=192, num_attention_heads=3, intermediate_size=768),
    "mobilevit_small": _classifier("MobileViT", 256),
    "unet": partial(_maps, "UNet", 1, 3, 256, 256),
    "segformer_b0": partial(
        _transformer, "SegformerForSemanticSegmentation", "Segformer", _pixels(256), num_labels=150
    ),
    "yolo": partial(_boxes, "Yolo", 1, 3, 320, 320),
    "ssd": partial(_boxes, "Ssd", 1, 3, 320, 320),
    "text_detector": partial(_maps, "TextDetector", 1, 3, 320, 320),
    "text_recognizer": partial(_maps, "TextRecognizer", 1, 1, 32, 320),
    "super_resolution": partial(_maps, "SuperResolution", 1, 3, 64, 64),
    "diffusion": _diffusion,
    "minilm": partial(
        _transformer, "BertModel", "Bert", _tokens(64, "input_ids", "attention_mask"), add_pooling_layer=False, **_MINI
    ),
    "gpt2": partial(_transformer, "GPT2LMHeadModel", "GPT2", _tokens(64), use_cache=False, n_layer=6),
    "smollm_prompt": partial(_transformer, "LlamaForCausalLM", "Llama", _tokens(64), use_cache=False, **_SMOL),
    "smollm_step": _decoder_step,
    "t5": partial(
        _transformer, "T5ForConditionalGeneration", "T5", _tokens(32, "input_ids", "decoder_input_ids"),
        d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, use_cache=False, attn_implementation="eager",
    ),
    "whisper_tiny": _whisper,
    "wav2vec2": partial(_transformer, "Wav2Vec2ForCTC", "Wav2Vec2", _floats("input_values", 1, 16000)),
    "vocoder": partial(_transformer, "SpeechT5HifiGan", "SpeechT5HifiGan", _floats("spectrogram", 1, 32, 80)),
    "segmenter_1d": partial(_sound, "Segmenter", 1, 1, 7424),
    "conv_tasnet": partial(_sound, "ConvTasNet", 1, 1, 8000),
    "keyword_spotter": partial(_sound, "keyword_spotter", 1, 1, 49, 10),
    "keyword_unrolled": partial(_sound, "UnrolledSpotter", 1, 49, 40),
    "noise_suppressor": partial(_sound, "NoiseSuppressor", 1, 100, 42),
    "acoustic_lstm": partial(_sound, "AcousticModel", 1, 100, 80),
}  # fmt: skip
"""What makes each module, and its inputs; torch and transformers are needed."""


def build_zoo(name: str) -> ir.Model:
    """Export and seed one of `ZOO`."""
    import torch

    torch.manual_seed(0)  # of what is no weight of a product or norm
    module, inputs = ZOO[name]()
    model = run_pass(FoldConstants(), from_torch(module.eval(), kwargs=inputs)).model
    seed_weights(model)
    return model
