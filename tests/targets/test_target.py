import subprocess
import sys

import pytest

from graphprune.errors import BackendError
from graphprune.targets.cpuinfo import CpuInfo
from graphprune.targets.target import KIB, MIB, TARGETS, native_target, resolve_target, target_names


def cpu(*features: str) -> CpuInfo:
    return CpuInfo(model="Some CPU", machine="x86_64", features=frozenset(features))


def test_the_table() -> None:
    assert target_names() == ("native", "x86-64-v3", "x86-64-v3-vnni", "x86-64-v4", "x86-64-v4-vnni")
    assert resolve_target("x86-64-v4").vector_lanes == 16
    assert resolve_target("x86-64-v3").vector_lanes == 8
    assert set(TARGETS["x86-64-v3"].features) < set(TARGETS["x86-64-v4"].features)


@pytest.mark.parametrize(("level", "attribute"), [("x86-64-v3", "avxvnni"), ("x86-64-v4", "avx512vnni")])
def test_a_level_with_products_of_bytes_is_one_of_its_own(level: str, attribute: str) -> None:
    target = TARGETS[f"{level}-vnni"]
    assert target.llvm == {"kind": "llvm", "mcpu": level, "mattr": [f"+{attribute}"]}
    assert native_target(cpu(*target.features), {}).level == target.name
    assert native_target(cpu(*TARGETS[level].features), {}).level == level


def test_native_takes_the_highest_level_and_the_machines_caches() -> None:
    features = (*TARGETS["x86-64-v4"].features, "avx512_bf16", "sse2")
    target = native_target(cpu(*features), {1: 48 * KIB, 2: 2 * MIB})
    assert (target.name, target.level) == ("native", "x86-64-v4")
    assert (target.l1d_bytes, target.l2_bytes, target.l3_bytes) == (48 * KIB, 2 * MIB, 16 * MIB)
    assert target.features[-1] == "avx512_bf16"


def test_one_missing_feature_of_a_level_drops_it() -> None:
    features = set(TARGETS["x86-64-v4"].features) - {"avx512dq"}
    assert native_target(cpu(*features), {}).level == "x86-64-v3"


def test_native_refuses_a_processor_below_the_table() -> None:
    features = set(TARGETS["x86-64-v3"].features) - {"avx2", "fma"}
    with pytest.raises(BackendError, match=r"Some CPU \(x86_64\) does not report avx2, fma, which .* \[GP494\]"):
        native_target(cpu(*features), {})


def test_native_refuses_where_nothing_is_known() -> None:
    with pytest.raises(BackendError, match=r"does not report a readable /proc/cpuinfo"):
        native_target(cpu(), {})


def test_an_unknown_target_is_refused_with_the_names() -> None:
    names = "native, x86-64-v3, x86-64-v3-vnni, x86-64-v4, x86-64-v4-vnni"
    with pytest.raises(BackendError, match=rf"unknown target 'avx2', expected one of {names} \[GP493\]"):
        resolve_target("avx2")


def test_targets_need_no_tvm() -> None:
    script = "import sys, graphprune.targets.target; sys.exit('tvm' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
