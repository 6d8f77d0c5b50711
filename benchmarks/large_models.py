"""Llamas with seeded weights, larger than a test, and commands that run on them in processes of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

GRAPHPRUNE = [sys.executable, "-c", "import sys; from graphprune.cli import main; sys.exit(main())"]
EXPORT = """
import json, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from graphprune.frontends.onnx_file import save
from graphprune.frontends.torch_module import from_torch
torch.manual_seed(0)
config = LlamaConfig(vocab_size=32000, num_attention_heads=32, use_cache=False, **json.loads(sys.argv[2]))
ids = torch.zeros(1, int(sys.argv[3]), dtype=torch.int64)
save(from_torch(LlamaForCausalLM(config).eval(), kwargs={"input_ids": ids}), sys.argv[1])
"""


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        last_line: Of what it printed.
        seconds: Wall time.
        peak_mib: The most memory that belonged to no file.
    """

    last_line: str
    seconds: float
    peak_mib: float


def export(path: Path, tokens: int, **config: int) -> None:
    """Write a Llama of a configuration for rows of so many tokens."""
    command = [sys.executable, "-c", EXPORT, str(path), json.dumps(config), str(tokens)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603


def measured(*arguments: str | Path) -> Measured:
    """Run a command of graphprune; what it says of its progress goes to stderr.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    command = [*GRAPHPRUNE, *map(str, arguments)]
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    while process.poll() is None:
        peak = max(peak, _anonymous_kib(process.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - start
    assert process.stdout is not None
    printed = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed)
    return Measured(printed.splitlines()[-1], seconds, peak / 1024)


def size_of(path: Path) -> float:
    """Return the gigabytes of a model and its data."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.stem}*")) / 1e9


def _anonymous_kib(pid: int) -> int:
    """The memory of a process that belongs to no file; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    return 0
