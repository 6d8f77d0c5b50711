"""Images and texts on the command line, of which a function of the user makes what a model takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphprune.cli.inputs import Samples, imported, read_samples
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""What files of images end with."""

FORM = "package.module:function"

_Item = tuple[str, Path | str]  # what it is called in messages, and what the function is given


@dataclass(frozen=True)
class Preprocessed:
    """Samples that a function makes, one by one as they are asked for.

    Attributes:
        name: Of the function, as it was given.
        function: Takes the path of an image or a line of a text; returns arrays by input name, or one array.
        items: Images or lines.
    """

    name: str
    function: Callable[[Path | str], Any]
    items: Iterable[_Item]

    def named(self, inputs: Sequence[str]) -> Iterator[Mapping[str, np.ndarray]]:
        """Yield the samples as arrays by input name; one array is that of the only input.

        Raises:
            InputError: The function raises an exception (GP618), or returns something else (GP619).
        """
        for where, item in self.items:
            try:
                made = self.function(item)
            except Exception as error:
                said = next(iter(str(error).splitlines()), "")
                message = f"{where}: preprocess {self.name!r} raises {type(error).__name__}"
                raise InputError(f"{message}: {said}" if said else message, code="GP618") from error
            yield self._by_name(made, where, inputs)

    def _by_name(self, made: object, where: str, inputs: Sequence[str]) -> Mapping[str, np.ndarray]:
        said = f"{where}: preprocess {self.name!r} returns"
        if isinstance(made, np.ndarray):
            if len(inputs) == 1:
                return {inputs[0]: made}
            raise InputError(f"{said} one array, expected one for each of {', '.join(inputs)}", code="GP619")
        if not isinstance(made, Mapping):
            raise InputError(f"{said} a {type(made).__name__}, expected arrays by input name", code="GP619")
        for name, array in made.items():
            if not isinstance(array, np.ndarray):
                raise InputError(f"{said} a {type(array).__name__} for {name!r}, expected an array", code="GP619")
        return made


def read_calibration(texts: Sequence[str] | None, preprocess: str | None) -> Samples | Preprocessed | None:
    """Return the samples that `--calibration` gives, None where it is not given.

    Raises:
        InputError: As `read_samples`; images or a text are given without a function (GP616), or a function for
            something else (GP617).
    """
    items = _items(Path(texts[0])) if texts else None
    if preprocess is None:
        if texts and items is not None:
            raise InputError(f"{texts[0]} holds no arrays; give --preprocess {FORM}, which makes them", code="GP616")
        return read_samples(texts)
    if not texts:
        raise InputError("--preprocess makes arrays of what --calibration gives, give that too", code="GP617")
    if items is None or len(texts) > 1:
        message = "--preprocess takes one folder of images or one .txt file"
        raise InputError(f"{message}, but --calibration is {', '.join(texts)}", code="GP617")
    if (function := imported(preprocess, "preprocess")) is None:
        raise InputError(f"preprocess {preprocess!r} is not of the form {FORM}", code="GP617")
    return Preprocessed(preprocess, function, items)


def by_input(samples: Samples | Preprocessed, model: ir.Model) -> Samples:
    """Return samples as arrays by the names of a model's inputs."""
    if isinstance(samples, Preprocessed):
        return samples.named([str(value.name) for value in model.graph.inputs])
    return samples


def _items(source: Path) -> Iterable[_Item] | None:
    """Images of a folder, sorted by name, or lines of a text; None of another source."""
    if source.suffix == ".txt":
        return _lines(source)
    if not source.is_dir():
        return None
    return [(str(path), path) for path in sorted(source.iterdir()) if path.suffix.lower() in IMAGES] or None


def _lines(source: Path) -> Iterator[_Item]:
    """Those that are not empty."""
    try:
        with source.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{source}, line {number}", line.rstrip("\n")
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}", code="GP606") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not a text in UTF-8", code="GP606") from error
