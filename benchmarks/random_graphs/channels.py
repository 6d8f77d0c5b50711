"""Masked channels of many random graphs, folded, each against the masked graph in ONNX Runtime without optimisations.

A failure is shrunk and printed: it belongs into `tests/analysis/channels` as a test of its own.
"""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from graphprune.analysis.channels import channel_groups
from tests.analysis.channels.drafts import drafts
from tests.analysis.channels.masking import check_constants, check_fold, check_zero_where_read


def fold_channels(cases: int, number: int) -> None:
    """Run as many graphs, each with one choice of channels, and print what they had; another number, other graphs."""
    counts: Counter[str] = Counter()

    @seed(number)
    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(drafts(), st.integers(0, 1 << 16))
    def check(model: ir.Model, choice: int) -> None:
        note(ir.to_onnx_text(model))
        groups, skips = channel_groups(model)
        check_zero_where_read(model, groups, choice)
        folded = check_fold(model, groups, choice)
        constant = check_constants(model, groups, choice)
        smaller = {"folded": _size(folded), "folded as constants": _size(constant)}
        counts.update(["graphs", *(name for name, size in smaller.items() if size < _size(model))])
        counts.update({"groups": len(groups), "channels": sum(group.size for group in groups)})
        counts.update(skip.code for skip in skips)

    check()
    print(", ".join(f"{name} {count}" for name, count in counts.items()))


def _size(model: ir.Model) -> int:
    return sum(value.const_value.size for value in model.graph.initializers.values() if value.const_value is not None)
