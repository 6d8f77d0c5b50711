"""Architectures of the benchmark of record: those that are built in a moment."""

import numpy as np
import pytest
import torch

from graphprune.testing import models
from graphprune.testing.models.structures import STRUCTURES
from graphprune.testing.models.zoo import ZOO, build_zoo
from tests.testing.models.running import run


def test_one_runs_and_is_the_same_each_time() -> None:
    one, other = build_zoo("keyword_spotter"), build_zoo("keyword_spotter")
    feed = models.random_feed(one, 0)
    results = run(one, feed)
    assert all(np.isfinite(result).all() and result.std() > 0 for result in results)
    np.testing.assert_array_equal(results[0], run(other, feed)[0])


def test_a_step_gives_what_the_whole_text_does() -> None:
    transformers = pytest.importorskip("transformers")
    from graphprune.testing.models.decoding import DecoderStep

    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, attn_implementation="eager",
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    words = torch.arange(6)[None]
    with torch.no_grad():
        whole = model(input_ids=words).logits[:, -1:]
        past = model(input_ids=words[:, :-1], use_cache=True).past_key_values
        stacked = torch.stack([each for layer in past.layers for each in (layer.keys, layer.values)])
        scores, grown = DecoderStep(model)(words[:, -1:], stacked)
    torch.testing.assert_close(scores, whole)
    assert grown.shape == (4, 1, 2, 6, 8)


def test_their_names_are_no_others() -> None:
    assert not set(ZOO) & {*models.names(), *STRUCTURES}
