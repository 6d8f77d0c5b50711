"""The main job on real architectures: prune 90%, compile, and compare with ONNX Runtime on the pruned model."""

from __future__ import annotations

import pytest

import graphprune as gp
from graphprune.testing import models

NAMES = ["resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny", "light_squeezenet", "light_shufflenet"]


@pytest.mark.parametrize("name", NAMES)
def test_prune_compile_verify(name: str) -> None:
    model = models.build(name)
    plan = gp.plan(model, gp.Recipe(sparsity=0.9))
    pruned = gp.Pipeline([gp.passes.PruneWeights(plan=plan)]).run(model).model
    session = gp.compile(pruned)
    gp.verify(pruned, session).raise_for_failure()


@pytest.mark.parametrize("name", ["resnet_tiny", "bert_tiny"])
@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
def test_dense_on_two_threads(name: str, target: str) -> None:
    model = models.build(name)
    session = gp.compile(model, target=target, threads=2)
    gp.verify(model, session, cases=1).raise_for_failure()
