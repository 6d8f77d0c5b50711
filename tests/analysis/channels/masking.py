"""Oracles of channel groups: what is masked may be read by any weights, and may be taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup, ChannelSlice
from graphprune.analysis.constants import constant_tensor, replace_constant
from graphprune.backends.onnxruntime import session_for
from graphprune.passes import FoldChannels
from graphprune.passes.base import run_pass
from graphprune.verification.feeds import random_feed

Arrays = dict[str, npt.NDArray[np.float32]]
Chosen = Mapping[str, npt.NDArray[np.int64]]
"""Channels by group."""


def choose(groups: Iterable[ChannelGroup], rng: np.random.Generator) -> Chosen:
    """Choose at least one channel of each group, and not all if it has several."""
    counts = {g.name: (g.size, int(rng.integers(1, max(2, g.size)))) for g in groups}
    return {name: np.sort(rng.choice(size, count, replace=False)) for name, (size, count) in counts.items()}


def arrays(model: ir.Model, groups: Iterable[ChannelGroup]) -> Arrays:
    """Return copies of the constants that groups touch."""
    names = {s.name for g in groups for s in (*g.producers, *g.carriers, *g.readers, *g.companions)}
    values = {value.name: value for value in (*model.graph.initializers.values(), *_outputs(model))}
    tensors = {name: constant_tensor(values[name]) for name in names}
    return {name: tensor.numpy().copy() for name, tensor in tensors.items() if tensor is not None}


def _outputs(model: ir.Model) -> list[ir.Value]:
    return [output for node in model.graph for output in node.outputs]


def mask(found: Arrays, groups: Iterable[ChannelGroup], chosen: Chosen) -> dict[str, npt.NDArray[np.bool_]]:
    """Zero producers and carriers of the chosen channels; return which elements these are."""
    masked = {name: np.zeros(array.shape, bool) for name, array in found.items()}
    for group in groups:
        for each in (*group.producers, *group.carriers):
            masked[each.name][at(each, chosen[group.name])] = True
    for name, array in found.items():
        array[masked[name]] = 0.0
    return masked


def scramble(
    found: Arrays, groups: Iterable[ChannelGroup], chosen: Chosen, masked: Mapping[str, npt.NDArray[np.bool_]]
) -> int:
    """Give the readers of the chosen channels other weights; return how many are changed."""
    rng = np.random.default_rng(7)
    count = 0
    for group in groups:
        for each in group.readers:
            where = np.zeros(found[each.name].shape, bool)
            where[at(each, chosen[group.name])] = True
            where &= ~masked[each.name]
            found[each.name][where] = rng.standard_normal(int(where.sum())) * 10
            count += int(where.sum())
    return count


def at(each: ChannelSlice, channels: npt.NDArray[np.int64]) -> tuple[slice | npt.NDArray[np.int64], ...]:
    """Index the elements of some channels of a constant."""
    return (*[slice(None)] * each.axis, each.indices()[channels].reshape(-1))


def with_arrays(model: ir.Model, found: Arrays) -> ir.Model:
    """Return the model with other constants of the same shapes."""
    other = model.clone()
    for value in (*other.graph.initializers.values(), *_outputs(other)):
        if value.name in found:
            replace_constant(value, found[value.name])
    return other


def run(model: ir.Model) -> list[npt.NDArray[np.float32]]:
    """Run on random inputs, in ONNX Runtime without optimisations."""
    return [np.asarray(each) for each in session_for(model, optimize=False).run(None, random_feed(model))]


def check_zero_where_read(model: ir.Model, groups: Iterable[ChannelGroup], seed: int = 0) -> None:
    """Check that weights which read masked channels can be anything."""
    trusted = [group for group in groups if group.zero_where_read]
    if not trusted:
        return
    chosen = choose(trusted, np.random.default_rng(seed))
    found = arrays(model, trusted)
    masked = mask(found, trusted, chosen)
    expected = run(with_arrays(model, found))
    if scramble(found, trusted, chosen, masked):
        for one, other in zip(expected, run(with_arrays(model, found)), strict=True):
            np.testing.assert_array_equal(one, other)


def check_fold(model: ir.Model, groups: Iterable[ChannelGroup], seed: int = 0) -> ir.Model:
    """Check that `FoldChannels` takes all masked channels out, and that the function is the same; return what is left.

    A channel may stay where a tensor would be empty without it: that is said.
    """
    trusted = [group for group in groups if group.zero_where_read]
    chosen = choose(trusted, np.random.default_rng(seed))
    found = arrays(model, trusted)
    mask(found, trusted, chosen)
    masked = with_arrays(model, found)
    folded = run_pass(FoldChannels(), masked)
    if "GP381" not in {skip.code for skip in folded.skips}:
        for group in trusted:
            first = group.producers[0]
            left = folded.channel_map or {}
            kept = left.get(first.name, left.get(f"{first.name}[{first.axis}]"))
            assert kept is not None
            assert not np.isin(first.indices()[chosen[group.name]], kept).any()
    check_equal(masked, folded.model)
    return folded.model


def check_constants(model: ir.Model, groups: Iterable[ChannelGroup], seed: int = 0) -> ir.Model:
    """Check that the function stays where only the weights of channels are zero, whatever follows them."""
    bare = [replace(group, carriers=()) for group in groups]
    chosen = choose(bare, np.random.default_rng(seed))
    found = arrays(model, bare)
    mask(found, bare, chosen)
    constant = with_arrays(model, found)
    folded = run_pass(FoldChannels(), constant)
    check_equal(constant, folded.model)
    return folded.model


def check_equal(model: ir.Model, other: ir.Model) -> None:
    """Check that two models give the same, up to rounding: of sums in another order, in all layers of a network."""
    for one, another in zip(run(model), run(other), strict=True):
        np.testing.assert_allclose(another, one, rtol=1e-4, atol=5e-5 * max(1.0, float(np.abs(one).max(initial=0))))
