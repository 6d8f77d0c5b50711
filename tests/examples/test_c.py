"""examples/c: each program is built, and computes what a session in Python does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from graphprune.native import SOURCES, get_include
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import compile_, parse
from tests.native.programs import LIBRARIES, build, find, results, run, to_bytes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "c"

TABLE = "g (int64[4,3] i, float[1,10,32] x) => (float[4,3,2] z, float[1,10,48] y) { y = MatMul(x,w) z = Gather(t,i) }"

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompiledSession, Path]:
    """A session of two inputs and outputs, and the archive of the same model beside its object file."""
    session = compile_(parse(TABLE, {"w": (32, 48), "t": (10, 2)}), threads=2)
    path = tmp_path_factory.mktemp("models") / "model.a"
    session.save(path)
    session.save(path.with_suffix(".o"))
    return session, path


def check(program: Path, session: CompiledSession) -> None:
    """Run it on good inputs, on an index that is outside, and on too few."""
    rng = np.random.default_rng(0)
    feed: dict[str, np.ndarray] = {
        "i": rng.integers(0, 10, (4, 3)),
        "x": rng.standard_normal((1, 10, 32)).astype(np.float32),
    }
    ended = run(program, stdin=to_bytes(session, feed))
    assert (ended.returncode, ended.stdout) == (0, results(session, feed)), ended.stderr
    feed["i"][2, 1] = 10
    ended = run(program, stdin=to_bytes(session, feed), ASAN_OPTIONS="detect_leaks=0")  # it ends at the error
    assert ended.returncode == 1
    assert ended.stderr.endswith(b"GP413: node 'Gather_1' (Gather): index outside the 10 rows\n")
    ended = run(program, stdin=b"short", ASAN_OPTIONS="detect_leaks=0")
    assert (ended.returncode, ended.stdout) == (1, b"")


def test_c(model: tuple[CompiledSession, Path], tmp_path: Path) -> None:
    check(build(EXAMPLES / "run.c", tmp_path, str(model[1]), *LIBRARIES, standard="-std=c99"), model[0])


def test_cpp(model: tuple[CompiledSession, Path], tmp_path: Path) -> None:
    parts = str(model[1]), *LIBRARIES
    check(build(EXAMPLES / "run.cpp", tmp_path, *parts, compiler="g++", standard="-std=c++17"), model[0])


def test_rust(model: tuple[CompiledSession, Path], tmp_path: Path) -> None:
    command = [find("rustc"), "-D", "warnings", str(EXAMPLES / "run.rs"), "-C", f"link-arg={model[1]}"]
    built = subprocess.run(
        [*command, "-C", "link-arg=-lm", "-o", "run"], cwd=tmp_path, check=False, capture_output=True
    )
    assert built.returncode == 0, built.stderr
    check(tmp_path / "run", model[0])


def test_sanitizers_find_nothing(model: tuple[CompiledSession, Path], tmp_path: Path) -> None:
    """The C part is compiled again, checked, and comes before that of the model, whose symbols are weak."""
    (tmp_path / "m.c").write_text("int main(void) { return 0; }\n")
    if subprocess.run([find("cc"), SANITIZERS[0], "m.c"], cwd=tmp_path, check=False, capture_output=True).returncode:
        pytest.skip("the C compiler has no sanitizers")
    shared = [str(source) for source in SOURCES if source.name != "names.c"]
    command = [
        find("cc"),
        "-std=gnu11",
        "-g",
        "-O1",
        *SANITIZERS,
        f"-I{get_include()}",
        str(EXAMPLES / "run.c"),
        *shared,
    ]
    subprocess.run([*command, str(model[1].with_suffix(".o")), *LIBRARIES, "-o", "run"], cwd=tmp_path, check=True)
    check(tmp_path / "run", model[0])
