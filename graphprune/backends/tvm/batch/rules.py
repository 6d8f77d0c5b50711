"""For each operator, the batch axis of its results, where it treats the samples of a batch independently."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphprune.analysis.products import RECURRENT
from graphprune.backends.tvm.batch.site import BatchAxis, MixedSamplesError, Site
from graphprune.backends.tvm.kernels.view import reshape_blocks
from graphprune.backends.tvm.operators.normalization import REDUCTIONS
from graphprune.backends.tvm.operators.scalar import CHANNEL_OPERANDS, SCALAR
from graphprune.packed.calls import extra_index
from graphprune.packed.forms import CALLS

Rule = Callable[[Site], BatchAxis]
"""The batch axis of a node's outputs; one of its inputs has one.

Raises `MixedSamplesError` where samples are not independent.
"""


def _elementwise(site: Site) -> BatchAxis:
    channels = CHANNEL_OPERANDS.get(site.node.op_type, ())
    result = site.aligned([index for index in site.given() if index not in channels], len(site.output_shape))
    if channels and (result.axis == 1 or any(index in channels for index in site.batched())):
        raise MixedSamplesError("the samples are channels")
    return result


def _images(site: Site) -> BatchAxis:
    """The first axis counts samples before and after, and everything else is shared."""
    result = site.only()
    if result.axis != 0 or len(site.node.outputs) > 1:
        raise MixedSamplesError("the samples do not lie along the first axis")
    return result


def _same(site: Site) -> BatchAxis:
    return site.only()


def _product(site: Site) -> BatchAxis:
    """MatMul, whose operands are stacked along the axes before the last two."""
    ranks = len(site.shape(0)), len(site.shape(1))
    rank, batched = max(ranks), site.batched()
    if min(ranks) < 2:
        raise MixedSamplesError("an operand is a vector")
    summed = {0: ranks[0] - 1, 1: ranks[1] - 2}
    if any(axis == summed[index] for index, (axis, _) in batched.items()):
        raise MixedSamplesError("the product sums over samples")
    places = {axis + rank - ranks[index] for index, (axis, _) in batched.items()}
    if max(places) < rank - 2:
        return site.aligned((0, 1), rank)
    if len(batched) == 2:
        raise MixedSamplesError("every sample meets every other")
    return site.aligned(tuple(batched), rank)


def _packed_product(site: Site) -> BatchAxis:
    result = site.only()
    if result.axis == len(site.shape(0)) - 1:
        raise MixedSamplesError("the product sums over samples")
    return result


def _gemm(site: Site) -> BatchAxis:
    bias = extra_index(site.node) if site.node.op_type in CALLS else 2
    result = site.aligned([index for index in (0, bias) if index in site.given()], 2)
    others = [index for index in site.batched() if index not in (0, bias)]
    is_column = result.axis != 0 or site.node.attributes.get_int("transA", 0) != 0
    if is_column or 0 not in site.batched() or others:
        raise MixedSamplesError("the samples are not rows of the first matrix")
    return result


def _along_axis(default: int) -> Rule:
    """Operators that compute along `axis`, each place of the others for itself."""

    def rule(site: Site) -> BatchAxis:
        result = site.only()
        if result.axis == site.attribute_axis(default):
            raise MixedSamplesError("it computes along the samples")
        return result

    return rule


def _normalization(site: Site) -> BatchAxis:
    """The axes from `axis` on are normalised, with a scale and a bias of theirs."""
    result, axis, rank = site.only(), site.attribute_axis(-1), len(site.shape(0))
    if result.axis >= axis or any(len(site.shape(index)) > rank - axis for index in site.given()[1:]):
        raise MixedSamplesError("it normalises along the samples")
    return result


def _reduction(site: Site) -> BatchAxis:
    (axis, inner), rank = site.only(), len(site.shape(0))
    given = site.ints(1) or list(site.node.attributes.get_ints("axes", ()))
    if not given and site.node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        return BatchAxis(axis, inner)
    return _without(site, [each % rank for each in given or range(rank)])


def _extremum(site: Site) -> BatchAxis:
    return _without(site, [site.attribute_axis(0)])


def _without(site: Site, reduced: list[int]) -> BatchAxis:
    """The batch axis once these axes are reduced, and gone unless `keepdims`."""
    axis, inner = site.only()
    if axis in reduced:
        raise MixedSamplesError("it reduces over samples")
    keeps = site.node.attributes.get_int("keepdims", 1) == 1
    gone = 0 if keeps else sum(each < axis for each in reduced)
    return BatchAxis(axis - gone, inner)


def _transpose(site: Site) -> BatchAxis:
    axis, inner = site.only()
    rank = len(site.shape(0))
    return BatchAxis(list(site.node.attributes.get_ints("perm", list(reversed(range(rank))))).index(axis), inner)


def _reshape(site: Site) -> BatchAxis:
    """Samples stay independent if their axis is the slowest of those that are merged or split."""
    (axis, _), old, new = site.only(), site.shape(0), site.output_shape
    if 0 in old:
        raise MixedSamplesError("it is empty")
    old_axes, new_axes = next(block for block in reshape_blocks(old, new) if axis in block[0])
    slowest = next((each for each in old_axes if old[each] != 1), axis)
    first = next((each for each in new_axes if new[each] != 1), None)
    if slowest != axis or first is None or new[first] % site.samples:
        raise MixedSamplesError("it mixes the samples' axis with others")
    return BatchAxis(first, new[first] // site.samples)


def _expand(site: Site) -> BatchAxis:
    return site.aligned((0,), len(site.output_shape))


def _whole_axis(site: Site) -> BatchAxis:
    """Operators that change the extents of axes, but not that of the samples."""
    result = site.only()
    if site.shape(0)[result.axis] != site.output_shape[result.axis]:
        raise MixedSamplesError("it changes how many samples there are")
    return result


def _slice(site: Site) -> BatchAxis:
    """As many samples as before, from the first on, are the same ones: no other step leaves as many."""
    result, rank = _whole_axis(site), len(site.shape(0))
    starts = site.ints(1) or []
    axes = site.ints(3) or list(range(len(starts)))
    if any(axis % rank == result.axis and start != 0 for axis, start in zip(axes, starts, strict=True)):
        raise MixedSamplesError("it takes the samples in another order")
    return result


def _pad(site: Site) -> BatchAxis:
    """As many samples as before may also be other ones."""
    result, rank = _whole_axis(site), len(site.shape(0))
    pads, axes = site.ints(1) or [], site.ints(3)
    places = [axis % rank for axis in axes or range(rank)]
    if result.axis in places and pads[places.index(result.axis)]:
        raise MixedSamplesError("it adds and removes samples")
    return result


def _resize(site: Site) -> BatchAxis:
    result, rank = _whole_axis(site), len(site.shape(0))
    attributes = site.node.attributes
    axes = [axis % rank for axis in attributes.get_ints("axes", list(range(rank)))]
    plain = attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    crops = attributes.get_string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    if result.axis in axes and (crops or not plain):
        raise MixedSamplesError("it resizes the axis of the samples")
    return result


def _concat(site: Site) -> BatchAxis:
    result = site.aligned(site.given(), len(site.output_shape))
    if result.axis == site.attribute_axis(0):
        raise MixedSamplesError("it joins batches")
    return result


def _split(site: Site) -> BatchAxis:
    result = site.only()
    if result.axis == site.attribute_axis(0):
        raise MixedSamplesError("it splits the batch")
    return result


def _gather(site: Site) -> BatchAxis:
    batched, axis = site.batched(), site.attribute_axis(0)
    if len(batched) != 1:
        raise MixedSamplesError("table and indices differ between samples")
    ((index, (place, inner)),) = batched.items()
    if index == 1:
        return BatchAxis(axis + place, inner)
    if place == axis:
        raise MixedSamplesError("it picks samples")
    return BatchAxis(place if place < axis else place - 1 + len(site.shape(1)), inner)


def _gather_nd(site: Site) -> BatchAxis:
    """Constant places of which each names its own sample first, as the masks of transformers have them."""
    if site.only() != BatchAxis(0):
        raise MixedSamplesError("the samples do not lie along the first axis")
    places = site.constant(1)
    own = np.arange(site.samples).reshape(-1, *[1] * (places.ndim - 2))
    if len(places) != site.samples or (places[..., 0] != own).any() or (places[..., 1:] != places[:1, ..., 1:]).any():
        raise MixedSamplesError("it picks samples")
    site.parts[1] = places[:1]
    return BatchAxis(0)


def _recurrent(site: Site) -> BatchAxis:
    """The sequences of the inputs, of their lengths, and of the initial states are samples."""
    first = site.node.attributes.get_int("layout", 0) == 1
    axes = {0: 0, 4: 0, 5: 0, 6: 0} if first else {0: 1, 4: 0, 5: 1, 6: 1}
    batched = site.batched()
    inner = {each.inner for each in batched.values()}
    if any(axes.get(index) != each.axis for index, each in batched.items()) or len(inner) > 1:
        raise MixedSamplesError("the samples are not its sequences")
    (count,) = inner
    for index in axes.keys() & set(site.given()) - batched.keys():
        site.take_part(index, BatchAxis(axes[index], count))
    site.others.update({output: BatchAxis(axes[5], count) for output in (1, 2)})
    return BatchAxis(0 if first else 2, count)


RULES: dict[str, Rule] = {
    **dict.fromkeys((*SCALAR, "Mod"), _elementwise),
    **dict.fromkeys(("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Identity", "Dropout"), _same),
    **dict.fromkeys(("Conv", "ConvInteger", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"), _images),
    **dict.fromkeys(("InstanceNormalization", "ConvTranspose"), _images),
    **{
        name: {"Conv": _images, "Gemm": _gemm, "MatMul": _packed_product}[operator]
        for name, (_, operator) in CALLS.items()
    },
    **dict.fromkeys(("MatMul", "MatMulInteger"), _product),
    "Gemm": _gemm,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _along_axis(-1)),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _normalization),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(("ArgMax", "ArgMin"), _extremum),
    "Transpose": _transpose,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(RECURRENT, _recurrent),
    "Expand": _expand,
    "Slice": _slice,
    "Pad": _pad,
    "Resize": _resize,
    "Concat": _concat,
    "Split": _split,
    "Gather": _gather,
    "GatherND": _gather_nd,
}
"""By operator. An operator without a rule is assumed to mix samples."""
