from pathlib import Path

from graphprune.targets.cpuinfo import read_cache_bytes, read_cpu

CPUINFO = """processor\t: 0
model name\t: Example CPU @ 3.00GHz
flags\t\t: fpu avx2 fma

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""


def write_cache(root: Path, index: int, level: str, kind: str, size: str) -> None:
    folder = root / f"index{index}"
    folder.mkdir()
    for name, text in (("level", level), ("type", kind), ("size", size)):
        (folder / name).write_text(text + "\n")


def test_the_first_processor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    cpu = read_cpu(path)
    assert cpu.model == "Example CPU @ 3.00GHz"
    assert cpu.features == {"fpu", "avx2", "fma"}


def test_without_cpuinfo_only_the_architecture_is_known(tmp_path: Path) -> None:
    cpu = read_cpu(tmp_path / "missing")
    assert cpu.features == frozenset()
    assert cpu.machine
    assert cpu.model


def test_caches_by_level_without_the_instruction_cache(tmp_path: Path) -> None:
    write_cache(tmp_path, 0, "1", "Data", "48K")
    write_cache(tmp_path, 1, "1", "Instruction", "32K")
    write_cache(tmp_path, 2, "2", "Unified", "2M")
    write_cache(tmp_path, 3, "3", "Unified", "1G")
    assert read_cache_bytes(tmp_path) == {1: 48 << 10, 2: 2 << 20, 3: 1 << 30}


def test_unreadable_caches_are_left_out(tmp_path: Path) -> None:
    write_cache(tmp_path, 0, "1", "Data", "many")
    write_cache(tmp_path, 1, "two", "Unified", "1M")
    (tmp_path / "index2").mkdir()
    assert read_cache_bytes(tmp_path) == {}
