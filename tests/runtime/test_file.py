from __future__ import annotations

import io

import numpy as np
import pytest

from graphprune_runtime.description import FORMAT, Description, Origin, ProgramNote
from graphprune_runtime.errors import BackendError
from graphprune_runtime.file import FOOTER_BYTES, Footer
from graphprune_runtime.interface import TensorInfo

FOOTER = Footer(FORMAT, 1, 64, 128, 192, 2**64 - 1, 7)


def test_a_footer_comes_back() -> None:
    content = FOOTER.to_bytes()
    assert len(content) == FOOTER_BYTES
    assert Footer.from_bytes(content) == FOOTER


@pytest.mark.parametrize("bit", range(0, 8 * FOOTER_BYTES, 7))
def test_a_footer_with_a_flipped_bit_is_none(bit: int) -> None:
    content = bytearray(FOOTER.to_bytes())
    content[bit // 8] ^= 1 << bit % 8
    assert Footer.from_bytes(bytes(content)) is None


def program(*shape: int | str) -> ProgramNote:
    infos = (TensorInfo("x", shape, np.dtype("float32")),)
    return ProgramNote(infos, infos)


def test_a_description_comes_back() -> None:
    origin = Origin("graphprune 1", "0.27", "2026-01-01", "g", "ab", 100, 90)
    described = Description((program(1, 2), program("n", 2)), "x86-64-v3", ("avx2",), 2, origin)
    assert Description.from_json(described.to_json()) == described
    assert described.origin.sparsity == 0.9
    assert Origin().sparsity == 0


def test_extents_in_which_programs_differ_are_open() -> None:
    described = Description((program(1, 16, 8), program(1, 32, 8)), "x86-64-v3", (), 1)
    assert [info.shape for info in described.inputs] == [(1, None, 8)]
    assert [info.shape for info in described.outputs] == [(1, None, 8)]


def test_a_file_that_is_longer_or_shorter_than_its_parts() -> None:
    from graphprune_runtime.file import CompiledFile

    content = b"\x7fELF" + bytes(64 + 128 + 192 - 4) + FOOTER.to_bytes()
    with pytest.raises(BackendError, match=r"it has 512 bytes, expected 448 \[GP410\]"):
        CompiledFile.read(io.BytesIO(bytes(64) + content), "it")
    with pytest.raises(BackendError, match=r"it is damaged: the checksum of its description differs \[GP410\]"):
        CompiledFile.read(io.BytesIO(content), "it")
    other = FOOTER._replace(format=FORMAT + 1).to_bytes()
    with pytest.raises(BackendError, match=rf"it has format {FORMAT + 1}, expected {FORMAT}; compile it again"):
        CompiledFile.read(io.BytesIO(content[:-FOOTER_BYTES] + other), "it")
