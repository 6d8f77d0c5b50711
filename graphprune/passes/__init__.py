"""Rewrites of a model, one pass a file, and the runner that checks that each kept its contract.

Imports: analysis, diagnostics, errors, graph, masked, masks, packed, planning, stages.
"""

from graphprune.passes.equalize_channels import EqualizeChannels
from graphprune.passes.expand_contrib import ExpandContrib
from graphprune.passes.fix_input_shapes import FixInputShapes
from graphprune.passes.fix_input_values import FixInputValues
from graphprune.passes.fold_batch_norm import FoldBatchNorm
from graphprune.passes.fold_channels import FoldChannels
from graphprune.passes.fold_constants import FoldConstants
from graphprune.passes.harden_masks import HardenMasks
from graphprune.passes.inline_branches import InlineBranches
from graphprune.passes.insert_soft_masks import InsertSoftMasks
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.permute_channels import PermuteChannels
from graphprune.passes.prune_channels import PruneChannels
from graphprune.passes.prune_weights import PruneWeights
from graphprune.passes.quantize import Quantize
from graphprune.passes.remove_identities import RemoveIdentities
from graphprune.passes.unpack_weights import UnpackWeights

__all__ = [
    "EqualizeChannels",
    "ExpandContrib",
    "FixInputShapes",
    "FixInputValues",
    "FoldBatchNorm",
    "FoldChannels",
    "FoldConstants",
    "HardenMasks",
    "InlineBranches",
    "InsertSoftMasks",
    "PackWeights",
    "PermuteChannels",
    "PruneChannels",
    "PruneWeights",
    "Quantize",
    "RemoveIdentities",
    "UnpackWeights",
]
