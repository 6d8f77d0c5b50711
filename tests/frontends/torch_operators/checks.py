"""A graph in torch against ONNX Runtime, and its gradients against finite differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import torch

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.verification.feeds import random_feed


def outputs(module: torch.nn.Module, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What the module returns, as arrays."""
    with torch.no_grad():
        results = module(*(torch.from_numpy(np.array(array)) for array in feed.values()))
    return [np.asarray(result) for result in (results if isinstance(results, tuple) else (results,))]


def assert_same(model: ir.Model, feed: Mapping[str, np.ndarray] | None = None, *, tolerance: float = 1e-5) -> None:
    """All outputs within `tolerance` of the largest value of ONNX Runtime's, and of the same type and shape."""
    feed = random_feed(model, 0) if feed is None else feed
    found = outputs(gp.to_torch(model), feed)
    for result, expected in zip(found, session_for(model, optimize=False).run(None, dict(feed)), strict=True):
        assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
        largest = float(np.abs(expected.astype(np.float64)).max())
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * largest)


def assert_round_trip(model: ir.Model) -> None:
    """The module, exported again and run by ONNX Runtime, computes the same."""
    feed = random_feed(model, 0)
    module = gp.to_torch(model)
    again = gp.from_torch(module, tuple(torch.from_numpy(array) for array in feed.values()))
    renamed = dict(zip((str(value.name) for value in again.graph.inputs), feed.values(), strict=True))
    for result, expected in zip(session_for(again).run(None, renamed), outputs(module, feed), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def assert_gradients(model: ir.Model) -> None:
    """Gradients of all inputs and parameters of a float64 graph agree with finite differences."""
    module = gp.to_torch(model)
    inputs = [torch.from_numpy(array) for array in random_feed(model, 0).values()]
    names = [name for name, _ in module.named_parameters()]

    def call(*values: torch.Tensor) -> torch.Tensor:
        parameters = dict(zip(names, values[len(inputs) :], strict=True))
        result: torch.Tensor = torch.func.functional_call(module, parameters, tuple(values[: len(inputs)]))
        return result

    arguments = [
        value.detach().clone().requires_grad_(value.is_floating_point()) for value in (*inputs, *module.parameters())
    ]
    assert torch.autograd.gradcheck(call, arguments)
