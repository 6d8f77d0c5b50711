"""A group of drafts through one backend: which are equal, which are refused and by what code, which are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import graphprune as gp
from benchmarks.random_graphs.comparison import difference
from benchmarks.random_graphs.draft import Draft
from benchmarks.random_graphs.elements import BFLOAT16
from benchmarks.random_graphs.together import feed_of, halves, together, without_named
from graphprune.errors import GraphPruneError

Run = Callable[[Path, Mapping[str, np.ndarray]], list[np.ndarray]]
"""Runs the file of a model."""


class Finding(NamedTuple):
    """A draft, what it is (`equal`, `refused GP401`, `different`, `error`), and what there is to say."""

    draft: Draft
    verdict: str
    detail: str = ""


def run_compiled(path: Path, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Through the TVM backend."""
    return gp.compile(gp.load(path)).run(None, dict(feed))


def run_torch(path: Path, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Through a torch module."""
    import torch

    module = gp.to_torch(gp.load(path)).eval()
    with torch.no_grad():
        results = module(*(_tensor(array) for array in feed.values()))
    return [_array(result) for result in ([results] if isinstance(results, torch.Tensor) else results)]


BACKENDS: dict[str, Run] = {"compile": run_compiled, "to_torch": run_torch}


def _tensor(array: np.ndarray) -> Any:  # noqa: ANN401 - torch is imported where it is used
    import torch

    array = np.ascontiguousarray(array).reshape(array.shape)
    return (
        torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        if array.dtype == BFLOAT16
        else torch.from_numpy(array)
    )


def _array(tensor: Any) -> np.ndarray:  # noqa: ANN401
    import torch

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.contiguous().view(torch.int16).numpy()).view(BFLOAT16)
    return np.asarray(tensor.numpy())


def attempt(drafts: Sequence[Draft], run: Run, path: Path) -> Iterator[Finding]:
    """Run a group as one model; one that is refused, or fails, is looked for."""
    if not drafts:
        return
    path.write_bytes(together(drafts).SerializeToString())
    try:
        results = run(path, feed_of(drafts))
    except GraphPruneError as error:
        yield from _apart(drafts, run, path, Finding(drafts[0], f"refused {error.code}", str(error)))
    except Exception as error:  # noqa: BLE001 - whatever else is raised is a defect
        yield from _apart(drafts, run, path, Finding(drafts[0], "error", f"{type(error).__name__}: {error}"))
    else:
        yield from _compared(drafts, results)


def _apart(drafts: Sequence[Draft], run: Run, path: Path, whole: Finding) -> Iterator[Finding]:
    if len(drafts) == 1:
        yield whole
        return
    rest, named = without_named(drafts, whole.detail)
    if named and rest:
        yield from attempt(rest, run, path)
        for draft in named:
            yield whole._replace(draft=draft) if whole.verdict.startswith("refused") else Finding(draft, "error")
    else:
        for half in halves(drafts):
            yield from attempt(half, run, path)


def _compared(drafts: Sequence[Draft], results: Sequence[np.ndarray]) -> Iterator[Finding]:
    found = iter(results)
    for draft in drafts:
        wrong = [
            f"{value.name}: {text}"
            for value, ours in [(value, next(found)) for value in draft.outputs()]
            if (text := difference(ours, value))
        ]
        yield Finding(draft, "different" if wrong else "equal", "; ".join(wrong))
