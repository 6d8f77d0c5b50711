"""The table of processors that models are compiled for, and the detection of this machine's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphprune.errors import BackendError
from graphprune.targets.cpuinfo import CpuInfo, read_cache_bytes, read_cpu

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """What a kernel's tile sizes and instructions are chosen by.

    Attributes:
        name: What users call it; `native` for this machine's processor.
        level: The entry of `TARGETS` that code is compiled for; compiled files name it.
        mcpu: LLVM's name of the level, never of one chip: a virtual machine may hide what the chip's name implies.
        vector_bits: Of a vector register.
        vector_registers: How many of them there are.
        l1d_bytes: L1 data cache of one core.
        l2_bytes: L2 cache of one core.
        l3_bytes: L3 cache, shared.
        features: Instruction sets, as Linux names them.
        attributes: Those of them that LLVM does not take from the level, as it names them.
    """

    name: str
    level: str
    mcpu: str
    vector_bits: int
    vector_registers: int
    l1d_bytes: int
    l2_bytes: int
    l3_bytes: int
    features: tuple[str, ...]
    attributes: tuple[str, ...] = ()

    @property
    def llvm(self) -> dict[str, str | list[str]]:
        """What the code generator is told, as TVM spells it."""
        return {"kind": "llvm", "mcpu": self.mcpu, "mattr": [f"+{name}" for name in self.attributes]}

    @property
    def vector_lanes(self) -> int:
        """How many float32 values one vector register holds."""
        return self.vector_bits // 32


# The x86-64 psABI levels, in Linux's spelling (`abm` is LZCNT).
_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

# Instruction sets beyond a level that a kernel may choose by.
_EXTRAS = ("avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8")

# Caches are the smallest among common chips of the level, so that tiles fit on all of them.
_AVX2 = Target("x86-64-v3", "x86-64-v3", "x86-64-v3", 256, 16, 32 * KIB, 256 * KIB, 8 * MIB, _V3)
_AVX512 = Target("x86-64-v4", "x86-64-v4", "x86-64-v4", 512, 32, 32 * KIB, 1 * MIB, 16 * MIB, _V4)


def _with_vnni(level: Target, feature: str, attribute: str) -> Target:
    """The level with products of bytes, the ones of an instruction set as Linux and LLVM name it."""
    name = f"{level.name}-vnni"
    return replace(level, name=name, level=name, features=(*level.features, feature), attributes=(attribute,))


_LEVELS = (
    _AVX2,
    _with_vnni(_AVX2, "avx_vnni", "avxvnni"),
    _AVX512,
    _with_vnni(_AVX512, "avx512_vnni", "avx512vnni"),
)
TARGETS: dict[str, Target] = {target.name: target for target in _LEVELS}


def target_names() -> tuple[str, ...]:
    """The names that :func:`resolve_target` knows."""
    return ("native", *TARGETS)


def resolve_target(name: str) -> Target:
    """The target called `name`; `native` is this machine's processor.

    Raises:
        BackendError: the name is unknown, or this processor reaches no level of the table.
    """
    if name == "native":
        return native_target(read_cpu(), read_cache_bytes())
    if name not in TARGETS:
        raise BackendError(f"unknown target {name!r}, expected one of {', '.join(target_names())}", code="GP493")
    return TARGETS[name]


def native_target(cpu: CpuInfo, cache_bytes: dict[int, int]) -> Target:
    """The highest level whose every feature `cpu` has, with the sizes of its own caches.

    Raises:
        BackendError: `cpu` is not known to reach any level.
    """
    level = next((target for target in reversed(TARGETS.values()) if cpu.features.issuperset(target.features)), None)
    if level is None:
        missing = sorted(set(_V3) - cpu.features) if cpu.features else ["a readable /proc/cpuinfo"]
        raise BackendError(
            f"target 'native': {cpu.model or 'this processor'} ({cpu.machine}) does not report {', '.join(missing)}, "
            "which x86-64-v3 needs; name a target to compile for another machine",
            code="GP494",
        )
    return replace(
        level,
        name="native",
        l1d_bytes=cache_bytes.get(1, level.l1d_bytes),
        l2_bytes=cache_bytes.get(2, level.l2_bytes),
        l3_bytes=cache_bytes.get(3, level.l3_bytes),
        features=tuple(dict.fromkeys((*level.features, *(each for each in _EXTRAS if each in cpu.features)))),
    )
