"""How much of a model's parameters other tools leave when they are asked for half of the channels."""

from __future__ import annotations

import importlib.util
import math
import re
import signal
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

if TYPE_CHECKING:
    import torch

SHARE = 0.5
SECONDS = 120
"""After which a tool is stopped."""
_HEADS = re.compile(r"(query|key|value|[qkv](_proj)?|c_attn)$")


def left_by_onnxsim(model: ir.Model) -> str:
    """Structured pruning and head pruning of onnxsim, on the graph that it simplifies itself."""
    if importlib.util.find_spec("onnxsim") is None:
        return "-"
    import onnxsim  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from onnxsim import pruning  # type: ignore[import-not-found, import-untyped, unused-ignore]

    proto = ir.to_proto(model)

    def prune() -> int:
        simple, _ = onnxsim.simplify(proto)
        smaller = pruning.apply_structured_pruning(simple, SHARE)
        return _parameters(pruning.apply_attention_head_pruning(smaller, SHARE))

    return _share(prune, _parameters(proto))


def left_by_torch_pruning(module: torch.nn.Module, inputs: dict[str, Any], ignored: Collection[str]) -> str:
    """Torch-Pruning by group norms, with the heads of attention where it is told of them; `ignored` layers stay."""
    if importlib.util.find_spec("torch_pruning") is None:
        return "-"
    import torch
    import torch_pruning as tp  # type: ignore[import-not-found, import-untyped, unused-ignore]

    config = getattr(module, "config", None)
    count = getattr(config, "num_attention_heads", None)
    linear = {name: layer for name, layer in module.named_modules() if isinstance(layer, torch.nn.Linear)}
    heads = {layer: count for name, layer in linear.items() if _HEADS.search(name)} if isinstance(count, int) else {}
    before = sum(parameter.numel() for parameter in module.parameters())

    def prune() -> int:
        pruner = tp.pruner.BasePruner(
            module, inputs, tp.importance.GroupMagnitudeImportance(p=2), pruning_ratio=SHARE, num_heads=heads,
            prune_num_heads=bool(heads), head_pruning_ratio=SHARE if heads else 0.0, prune_head_dims=not heads,
            ignored_layers=[layer for name, layer in module.named_modules() if name in ignored],
        )  # fmt: skip
        pruner.step()
        with torch.no_grad():
            module(**inputs)
        return sum(parameter.numel() for parameter in module.parameters())

    return _share(prune, before)


def _share(prune: Callable[[], int], before: int) -> str:
    """The share that is left, or what another tool raised instead."""
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(SECONDS)
    try:
        return f"{prune() / before:.2f}"
    except Exception as error:  # noqa: BLE001 - whatever another tool raises is its result
        return type(error).__name__
    finally:
        signal.alarm(0)


def _stop(*_: object) -> None:
    raise TimeoutError


def _parameters(model: onnx.ModelProto) -> int:
    """Numbers in initializers of floating type."""
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    return sum(math.prod(each.dims) for each in model.graph.initializer if each.data_type in kinds)
