"""Groups of whole architectures, held against ONNX Runtime."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import onnx_ir as ir
import pytest

from graphprune.analysis.channels import ChannelGroup, channel_groups
from graphprune.analysis.weights import linear_weights
from graphprune.passes import FoldBatchNorm
from graphprune.passes.base import run_pass
from tests.analysis.channels.masking import check_zero_where_read

# Groups, channels, and what blocks the others.
FOUND = {
    "resnet_tiny": (11, 400, ["GP370"]),
    "mobilenet_tiny": (14, 1496, ["GP370"]),
    "bert_tiny": (4, 520, ["GP370"]),
    "vit_tiny": (5, 584, ["GP370"]),
    "light_squeezenet": (25, 2944, ["GP373"]),
    "light_densenet121": (120, 10240, ["GP370"]),
    "light_inception_v2": (69, 9952, ["GP373"]),
    "light_shufflenet": (13, 247, ["GP377"] * 4 + ["GP373"]),
}


@pytest.mark.parametrize(("name", "expected"), FOUND.items(), ids=FOUND)
def test_groups_of_models(
    name: str, expected: tuple[int, int, list[str]], tiny_models: Callable[[str], ir.Model]
) -> None:
    model = tiny_models(name)
    groups, skips = channel_groups(model)
    assert (len(groups), sum(group.size for group in groups), sorted(skip.code for skip in skips)) == (
        *expected[:2],
        sorted(expected[2]),
    )
    assert len({group.name for group in groups}) == len(groups)
    assert all(group.zero_where_read for group in groups)
    check_zero_where_read(model, groups)


@pytest.mark.parametrize("name", ["resnet_tiny", "bert_tiny", "vit_tiny"])
def test_every_linear_weight_is_accounted_for(name: str, tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models(name)
    groups, skips = channel_groups(model)
    in_groups = [each.name for group in groups for each in group.producers]
    counts = [re.search(r"channels of (\d+) weights", skip.reason) for skip in skips]
    assert len(in_groups) == len(set(in_groups))
    assert len(in_groups) + sum(int(count[1]) if count else 1 for count in counts) == len(linear_weights(model)[0])


def test_folded_batch_norms_give_the_same_groups(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("resnet_tiny")
    folded = run_pass(FoldBatchNorm(), model).model
    groups = channel_groups(folded)[0]
    assert [_producers(group) for group in groups] == [_producers(group) for group in channel_groups(model)[0]]
    assert all(group.carriers and not group.companions for group in groups)
    check_zero_where_read(folded, groups)


def _producers(group: ChannelGroup) -> tuple[int, list[str]]:
    return group.size, [each.name for each in group.producers]


def test_the_order_is_stable(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("bert_tiny")
    assert channel_groups(model) == channel_groups(tiny_models("bert_tiny"))


def test_no_large_tensor_is_read(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("vit_tiny")

    def refuse() -> None:
        raise AssertionError("read")

    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.size > 16:
            value.const_value = ir.LazyTensor(refuse, dtype=tensor.dtype, shape=tensor.shape, name=tensor.name)  # type: ignore[arg-type]
    assert len(channel_groups(model)[0]) == 5


def test_it_is_fast(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("light_densenet121")  # 910 nodes
    channel_groups(model)
    start = time.process_time()
    channel_groups(model)
    assert time.process_time() - start < 5  # 0.4 s on an idle core
