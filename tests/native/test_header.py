from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import graphprune
from graphprune.native import SOURCES
from tests.native.programs import find

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.mark.parametrize(("compiler", "standard", "name"), [("cc", "c99", "m.c"), ("g++", "c++11", "m.cpp")])
def test_the_header_compiles_without_warnings(compiler: str, standard: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("#include <graphprune.h>\nint main(void) { return gp_open(0, 0, 0, 0) != 0; }\n")
    include = f"-I{graphprune.get_include()}"
    command = [find(compiler), f"-std={standard}", *STRICT, include, "-c", name, "-o", "m.o"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_c_part_compiles_without_warnings() -> None:
    command = [find("cc"), "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    result = subprocess.run([*command, *map(str, SOURCES)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
