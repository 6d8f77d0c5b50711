"""Programs in C that are linked with models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphprune as gp
from graphprune_runtime.file import FOOTER_BYTES, Footer
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import parse
from tests.native.programs import HERE, LIBRARIES, build, run

Model = tuple[CompiledSession, Path]

WAYS = ("{folder}/{name}.a", "{folder}/{name}.o", "-pthread -L{folder} -l:{name}.so -Wl,-rpath,{folder}")


def linked(way: str, folder: Path, name: str) -> list[str]:
    arguments = way.format(folder=folder, name=name).split()
    return arguments if "-l" in way else [*arguments, *LIBRARIES]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", ["threads.c", "forks.c"])
def test_threads_and_forks(source: str, way: str, linear: Model, tmp_path: Path) -> None:
    ended = run(build(HERE / source, tmp_path, *linked(way, linear[1], "first")))
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("suffix", [".a", ".o"])
def test_two_models_in_one_program(suffix: str, linear: Model, other: Model, tmp_path: Path) -> None:
    files = [str(linear[1] / f"first{suffix}"), str(other[1] / f"the-2nd{suffix}")]
    for order in (files, files[::-1]):
        ended = run(build(HERE / "two_models.c", tmp_path, *order, *LIBRARIES))
        assert ended.returncode == 0
        assert ended.stderr == b"GP633: 2 models are linked into the program, open each with gp_open_linked\n"
        assert ended.stdout == expected(linear[0]) + expected(other[0])


def expected(session: CompiledSession) -> bytes:
    """The output for what test programs put in."""
    (info,) = session.get_inputs()
    x = (np.arange(np.prod(info.static_shape)) * 7 % 13 - 6).astype(np.float32).reshape(info.static_shape)
    (y,) = session.run(None, {info.name: x})
    return y.tobytes()


@pytest.mark.parametrize("options", ["-static", "-no-pie", "-Wl,--gc-sections"])
def test_ways_to_link(options: str, linear: Model, tmp_path: Path) -> None:
    ended = run(build(HERE / "threads.c", tmp_path, options, str(linear[1] / "first.a"), *LIBRARIES))
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("way", WAYS)
def test_an_index_outside(way: str, lookup: Model, tmp_path: Path) -> None:
    program = build(HERE / "fails.c", tmp_path, *linked(way, lookup[1], "lookup"))
    ended = run(program, "500")
    assert (ended.returncode, ended.stderr) == (1, b"")
    said = b"GP413: node 'Gather_0' (Gather): index outside the 10 rows"
    assert ended.stdout == said
    for size in (0, 1, 2, 20):
        ended = run(program, str(size))
        assert (ended.returncode, ended.stderr, ended.stdout) == (1, b"", said[: max(0, size - 1)])


def test_files_that_cannot_be_opened(linear: Model, tmp_path: Path) -> None:
    program = build(HERE / "opens.c", tmp_path, *linked(WAYS[2], linear[1], "first"))
    good = linear[1] / "first.so"
    assert run(program, str(good), "500", "1").returncode == 0
    missing = run(program, str(tmp_path / "m.so"), "500", "1")
    assert (missing.returncode, missing.stdout.decode()) == (
        1,
        f"GP531: '{tmp_path / 'm.so'}' No such file or directory",
    )
    for size in (0, 1, 6):
        assert run(program, "m.so", str(size), "1").stdout == b"GP531: 'm.so' No such"[: max(0, size - 1)]
    (tmp_path / "cut.so").write_bytes(good.read_bytes()[:-100])
    assert run(program, str(tmp_path / "cut.so"), "500", "1").stdout.startswith(b"GP410: ")


def test_files_of_which_onnxruntime_runs_a_part(tmp_path: Path) -> None:
    text = "g (float[2,8] x) => (int64[2,n] y) { a = MatMul(x,w) y = NonZero(a) }"
    gp.compile(parse(text, {"w": (8, 8)}), fallback="onnxruntime").save(tmp_path / "m.so")
    program = build(HERE / "opens.c", tmp_path, *linked(WAYS[2], tmp_path, "m"))
    ended = run(program, str(tmp_path / "m.so"), "500", "1")
    said = b"GP487: 1 of the model's nodes run on ONNX Runtime, load the file in Python"
    assert (ended.returncode, ended.stdout) == (1, said)


def test_files_that_belong_to_other_code(linear: Model, other: Model, tmp_path: Path) -> None:
    program = build(HERE / "opens.c", tmp_path, *linked(WAYS[2], linear[1], "first"))
    ended = run(program, str(other[1] / "the-2nd.so"), "500", "1")
    assert (ended.returncode, ended.stdout.split(b": ")[0]) == (1, b"GP410")
    assert b"holds the weights of another model" in ended.stdout


def test_a_damaged_weight(linear: Model, tmp_path: Path) -> None:
    program = build(HERE / "opens.c", tmp_path, *linked(WAYS[2], linear[1], "first"))
    content = bytearray((linear[1] / "first.so").read_bytes())
    content[len(content) - 64 - 32 * 48 * 4] ^= 1
    (tmp_path / "damaged.so").write_bytes(content)
    assert (
        b"is damaged: the checksum of its weights differs"
        in run(program, str(tmp_path / "damaged.so"), "500", "1").stdout
    )


def test_a_footer_of_other_sizes(linear: Model, tmp_path: Path) -> None:
    """Their sum is that of the file, but the weights would lie elsewhere."""
    program = build(HERE / "opens.c", tmp_path, *linked(WAYS[2], linear[1], "first"))
    content = (linear[1] / "first.so").read_bytes()
    footer = Footer.from_bytes(content[-FOOTER_BYTES:])
    assert footer is not None
    for moved in (64, -64, 2**64 - footer.code_bytes):
        code, weights = (
            (size + by) % 2**64 for size, by in ((footer.code_bytes, moved), (footer.weights_bytes, -moved))
        )
        changed = footer._replace(code_bytes=code, weights_bytes=weights).to_bytes()
        (tmp_path / "changed.so").write_bytes(content[:-FOOTER_BYTES] + changed)
        ended = run(program, str(tmp_path / "changed.so"), "500", "0")
        assert (ended.returncode, ended.stdout.split(b": ")[0]) == (1, b"GP410")
