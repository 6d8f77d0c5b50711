"""Every structure that channels run through: all groups are found, pruned, folded, and equal to the masked model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.channels import channel_groups
from graphprune.frontends.onnx_file import load
from graphprune.passes import FoldChannels, FoldConstants, PruneChannels
from graphprune.passes.base import run_pass
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.testing import models
from graphprune.testing.models.structures import STRUCTURES
from tests.analysis.channels.masking import run

# Groups, and the share of the parameters that is left at half of all channels.
EXPECTED = {
    "resnext_small": (3, 0.37),
    "mobilenet_v3_small": (6, 0.36),
    "shufflenet_v2_small": (8, 0.38),
    "unet_small": (6, 0.27),
    "detector_small": (7, 0.27),
    "diffusion_block": (4, 0.28),
    "mobilenet_v2_small": (25, 0.30),
    "efficientnet_small": (24, 0.29),
    "regnet_small": (12, 0.29),
    "convnext_small": (5, 0.29),
    "swin_small": (10, 0.30),
    "deit_small": (5, 0.32),
    "bert_eager": (6, 0.32),
    "bert_sdpa": (4, 0.59),
    "gpt2_small": (5, 0.29),
    "llama_small": (5, 0.31),
    "t5_small": (7, 0.53),
    "whisper_encoder": (5, 0.52),
}


def test_every_structure_is_here() -> None:
    assert set(EXPECTED) == set(STRUCTURES)


@pytest.mark.parametrize("name", EXPECTED)
def test_half_of_all_channels_go(name: str) -> None:
    check(run_pass(FoldConstants(), models.build(name)).model, *EXPECTED[name])


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_the_torchscript_exporter(tmp_path: Path) -> None:
    """Shapes are computed in the graph."""
    import torch
    import transformers as tf

    config = tf.BertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, vocab_size=100,
        attn_implementation="eager",
    )  # fmt: skip

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = tf.BertModel(config, add_pooling_layer=False)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.inner(input_ids=ids, attention_mask=mask, use_cache=False)[0]
            return hidden

    torch.manual_seed(0)
    ids = torch.zeros(1, 12, dtype=torch.int64)
    example = (ids, torch.ones(1, 12))
    torch.onnx.export(Encoder().eval(), example, tmp_path / "bert.onnx", dynamo=False, opset_version=17)
    check(run_pass(FoldConstants(), load(tmp_path / "bert.onnx")).model, 4, 0.6)


def check(model: ir.Model, groups: int, most: float) -> None:
    found, _ = channel_groups(model)
    assert len(found) == groups
    masked = run_pass(PruneChannels(plan(model, Recipe(sparsity=0.5, pattern="channel"))), model).model
    result = run_pass(FoldChannels(), masked)
    assert result.skips == ()
    assert {rewrite.node for rewrite in result.rewrites} == {group.name for group in found}
    assert _parameters(result.model) <= most * _parameters(model)
    if all(isinstance(extent, int) for value in model.graph.inputs for extent in value.shape or ()):
        for one, other in zip(run(masked), run(result.model), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5 * float(np.abs(one).max()))


def _parameters(model: ir.Model) -> int:
    return sum(value.const_value.size for value in model.graph.initializers.values() if value.const_value is not None)
