"""State dictionaries as one .npz file: arrays, and the structure around them as JSON. Nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

_STRUCTURE = "structure"

Arrays = dict[str, npt.NDArray[Any]]


def save(path: Path, state: object) -> None:
    """Write nested dictionaries and lists of tensors and JSON's scalars, beside the target, and rename."""
    arrays: Arrays = {}
    structure = json.dumps(_split(state, arrays))
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, **arrays, **{_STRUCTURE: np.frombuffer(structure.encode(), np.uint8)})  # type: ignore[arg-type]
    unfinished.replace(path)


def load(path: Path) -> Any:  # noqa: ANN401 - what was saved
    """Return what `save` wrote to `path`."""
    with np.load(path, allow_pickle=False) as archive:
        return _joined(json.loads(archive[_STRUCTURE].tobytes()), archive)


def _split(state: object, arrays: Arrays) -> object:
    """JSON can hold the result: tensors moved to `arrays`, dictionaries as pairs since keys may be integers."""
    if isinstance(state, torch.Tensor):
        name = f"array{len(arrays)}"
        arrays[name] = state.detach().contiguous().numpy()
        return {"tensor": name}
    if isinstance(state, dict):
        return {"pairs": [[key, _split(value, arrays)] for key, value in state.items()]}
    if isinstance(state, list | tuple):
        return [_split(value, arrays) for value in state]
    return state


def _joined(structure: Any, arrays: Any) -> Any:  # noqa: ANN401 - JSON and an archive
    if isinstance(structure, list):
        return [_joined(value, arrays) for value in structure]
    if not isinstance(structure, dict):
        return structure
    if "tensor" in structure:
        return torch.from_numpy(arrays[structure["tensor"]])
    return {key: _joined(value, arrays) for key, value in structure["pairs"]}
