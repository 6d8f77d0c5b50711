import os
from pathlib import Path

import pytest

from graphprune.errors import InputError, ModelFileError
from graphprune_runtime.loading import check_threads, is_compiled, load_session


def test_compiled_files_are_told_by_their_names() -> None:
    assert is_compiled("a/m.so")
    assert is_compiled(Path("m.DYLIB"))
    assert not is_compiled("m.onnx")
    assert not is_compiled("so")


@pytest.mark.parametrize("threads", [0, -1, (os.cpu_count() or 1) + 1])
def test_threads_that_cannot_run_are_refused(threads: int) -> None:
    with pytest.raises(InputError, match=rf"threads is {threads}, expected 1 to {os.cpu_count()}, .* \[GP532\]"):
        check_threads(threads)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"m\.so: no such file \[GP531\]"):
        load_session(tmp_path / "m.so")
