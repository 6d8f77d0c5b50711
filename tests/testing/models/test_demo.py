"""The demonstration model."""

import subprocess
import sys

import numpy as np

from graphprune.analysis.cost import model_cost
from graphprune.testing.models import random_feed
from graphprune.testing.models.demo import build_demo
from tests.testing.models.running import run


def test_a_small_one_runs() -> None:
    model = build_demo(size=64)
    output = run(model, random_feed(model))[0]
    assert output.shape == (1, 1000)
    assert 0.1 < output.std() < 10


def test_it_is_resnet_18() -> None:
    model = build_demo(size=32)
    operators = [node.op_type for node in model.graph]
    assert (operators.count("Conv"), operators.count("Add"), operators.count("Gemm")) == (20, 8, 1)
    assert model_cost(model).parameters == 11_689_512 + 9_600


def test_it_is_the_same_every_time() -> None:
    first, second = (build_demo(size=32).graph.initializers["head.weight"].const_value for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_neither_torch_nor_transformers_is_needed() -> None:
    script = """
import sys
sys.modules['torch'] = sys.modules['transformers'] = None
from graphprune.testing.models import build
build('demo')
"""
    subprocess.run([sys.executable, "-c", script], check=True)
