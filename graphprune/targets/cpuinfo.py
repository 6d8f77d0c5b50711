"""What the operating system says about this machine's processor: model, features, cache sizes."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class CpuInfo:
    """The first processor's identity; empty where the system does not tell."""

    model: str
    machine: str
    features: frozenset[str]


def read_cpu(path: Path = CPUINFO) -> CpuInfo:
    """Read the first block of `/proc/cpuinfo`; where there is none, only the machine's architecture is known."""
    fields = _first_block(path)
    return CpuInfo(
        model=fields.get("model name") or platform.processor() or platform.machine(),
        machine=platform.machine().lower(),
        features=frozenset(fields.get("flags", "").split()),
    )


def _first_block(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_cache_bytes(root: Path = CACHES) -> dict[int, int]:
    """Bytes of each data or unified cache by level, as far as Linux's `sysfs` tells."""
    sizes: dict[int, int] = {}
    for index in sorted(root.glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = int((index / "level").read_text())
            match = re.fullmatch(r"(\d+)([KMG]?)", (index / "size").read_text().strip())
        except (OSError, ValueError):
            continue
        if kind != "Instruction" and match:
            sizes[level] = int(match[1]) * _UNITS[match[2]]
    return sizes
