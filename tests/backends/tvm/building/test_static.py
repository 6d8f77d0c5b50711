from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from graphprune.backends.tvm.building import static
from graphprune.backends.tvm.building.archive import make_archive
from graphprune.backends.tvm.building.linking import run_compiler
from graphprune.backends.tvm.building.static import symbol_of
from graphprune.backends.tvm.building.symbols import ObjectSymbols
from graphprune.errors import BackendError, ModelFileError
from graphprune_runtime.loading import load_session
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import compile_, parse

LINEAR = "g (float[1,10,32] x) => (float[1,10,48] y) { y = MatMul(x,w) }"


@pytest.fixture(scope="module")
def session() -> CompiledSession:
    return compile_(parse(LINEAR, {"w": (32, 48)}))


@pytest.mark.parametrize(
    ("file", "symbol"),
    [("resnet50.a", "gp_model_resnet50"), ("a/my-model.v2.o", "gp_model_my_model_v2"), ("é_1.a", "gp_model___1")],
)
def test_models_are_called_by_their_files(file: str, symbol: str) -> None:
    assert symbol_of(Path(file)) == symbol


def test_a_file_shows_its_model_and_what_all_models_share(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.o")
    defined = ObjectSymbols((tmp_path / "m.o").read_bytes()).defined()
    assert [symbol.name for symbol in defined if not symbol.is_weak] == ["gp_model_m"]
    shared = {symbol.name for symbol in defined if symbol.is_weak}
    assert {"gp_open", "gp_run", "gp_share"} < shared
    assert all(name.startswith("gp_") for name in shared)


def test_a_library_with_a_model_inside_exports_nothing_of_it(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.o")
    (tmp_path / "main.c").write_text("int gp_open(void); int mine(void) { return gp_open(); }")
    run_compiler(["-shared", "-fPIC", "main.c", "m.o", "-o", "mine.so", "-lm"], tmp_path)
    (tmp_path / "user.c").write_text("int mine(void), gp_open(void); int main(void) { return mine() + gp_open(); }")
    with pytest.raises(BackendError, match="GP411"):
        run_compiler(["user.c", "./mine.so", "-o", "user"], tmp_path)
    (tmp_path / "user.c").write_text("int mine(void); int main(void) { return mine(); }")
    run_compiler(["user.c", "./mine.so", "-o", "user"], tmp_path)


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        for suffix in (".a", ".o"):
            compile_(parse(LINEAR, {"w": (32, 48)})).save(folder / f"m{suffix}")
    for suffix in (".a", ".o"):
        assert (tmp_path / f"one/m{suffix}").read_bytes() == (tmp_path / f"two/m{suffix}").read_bytes()


def test_an_archive_is_what_ar_writes(tmp_path: Path) -> None:
    if not shutil.which("ar"):
        pytest.skip("ar is not installed")
    (tmp_path / "m.c").write_text("int one, three_; int two(void) { return 1; }")
    run_compiler(["-c", "m.c", "-o", "model.o"], tmp_path)
    subprocess.run(["ar", "rcsD", "theirs.a", "model.o"], cwd=tmp_path, check=True)
    content = (tmp_path / "model.o").read_bytes()
    ours = make_archive(content, [symbol.name for symbol in ObjectSymbols(content).defined()])
    assert ours == (tmp_path / "theirs.a").read_bytes()


def test_symbols_become_local(tmp_path: Path) -> None:
    """Two object files that define the same names link, and each uses its own."""
    text = "int calls; int used(void); int shared(void) { calls += %d; return calls + used(); } int %s(void) "
    text += "{ return shared(); } int used(void) { return %d; }"
    for number, name in ((1, "first"), (10, "second")):
        (tmp_path / f"{name}.c").write_text(text % (number, name, 100 * number))
        run_compiler(["-c", "-fPIC", f"{name}.c"], tmp_path)
        symbols = ObjectSymbols((tmp_path / f"{name}.o").read_bytes())
        symbols.make_local(lambda symbol, name=name: symbol.name == name)  # type: ignore[misc] # a default binds it
        assert [symbol.name for symbol in symbols.defined()] == [name]
        (tmp_path / f"{name}.o").write_bytes(symbols.content)
    (tmp_path / "main.c").write_text(
        "int first(void), second(void); int main(void) { return first() == 101 && second() == 1010 ? 0 : 1; }"
    )
    run_compiler(["main.c", "first.o", "second.o", "-o", "main"], tmp_path)
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def test_other_object_files_are_refused() -> None:
    with pytest.raises(BackendError, match=r"for Linux only \[GP632\]"):
        ObjectSymbols(b"\xcf\xfa\xed\xfe" + bytes(100))


def test_weights_that_fit_no_program_are_refused(
    session: CompiledSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "MOST_BYTES", 32 * 48 * 4 - 1)
    with pytest.raises(BackendError, match=r"weights of 0.0 GB do not fit a program.* \[GP631\]"):
        session.save(tmp_path / "m.a")
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_session_is_refused(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.so")
    with pytest.raises(BackendError, match=r"m.a': a loaded model cannot be linked statically.* \[GP630\]"):
        load_session(tmp_path / "m.so").save(tmp_path / "m.a")
    assert [path.name for path in tmp_path.iterdir()] == ["m.so"]


def test_a_closed_session_is_refused(tmp_path: Path) -> None:
    session = compile_(parse(LINEAR, {"w": (32, 48)}))
    session.close()
    with pytest.raises(BackendError, match="GP418"):
        session.save(tmp_path / "m.o")


def test_unwritable_output(session: CompiledSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="GP106"):
        session.save(tmp_path / "file" / "m.a")
