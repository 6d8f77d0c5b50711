"""Random small graphs: masked channels are zero where they are read, and are taken out of the graph."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from graphprune.analysis.channels import channel_groups
from tests.analysis.channels.drafts import drafts
from tests.analysis.channels.masking import check_constants, check_fold, check_zero_where_read


@pytest.mark.parametrize("part", range(4))
def test_masked_channels_are_not_read_and_taken_out(part: int) -> None:
    @seed(part)
    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(drafts(), st.integers(0, 1 << 16))
    def check(model: ir.Model, choice: int) -> None:
        note(ir.to_onnx_text(model))
        groups, _ = channel_groups(model)
        check_zero_where_read(model, groups, choice)
        check_fold(model, groups, choice)
        check_constants(model, groups, choice)

    check()
