"""DDP and FSDP2 on two processes: masks equal on all ranks, and equal to those of one process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from graphprune.training import Pruner, prepare
from graphprune.training.sites import whole
from tests.training.small import images, recipe

RANKS = 2
RECIPES: dict[str, dict[str, Any]] = {
    "unstructured": {"start": 1, "length": 2, "scope": "global", "sparsity": 0.5},
    "channel": {"start": 1, "length": 2, "pattern": "channel", "sparsity": 0.5},
}
ZEROS = {"unstructured": (288 * 16 + 64) // 2, "channel": 8 * 288}


def linear_network() -> nn.Sequential:
    """Without BatchNorm, whose statistics would differ between ranks."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(288, 16), nn.ReLU(), nn.Linear(16, 4))


def run(module: nn.Module, called: nn.Module, pruner: Pruner, rank: int, ranks: int) -> dict[str, Any]:
    """Four steps; return the weights under their masks, and hardened."""
    optimizer = torch.optim.SGD(called.parameters(), 0.05)
    for step in range(4):
        optimizer.zero_grad()
        batch = images(step, count=8).chunk(ranks)[rank]
        called(batch).square().mean().backward()
        optimizer.step()
        pruner.step()
    masked = {site.name: site.mask.masked(site.whole_parameter()).detach() for site in pruner.sites}
    pruner.finalize()
    return {"masked": masked, "weights": {name: whole(value.detach()) for name, value in module.named_parameters()}}


def worker(rank: int, how: str, pattern: str, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    module = linear_network()
    pruner = prepare(module, (images(),), recipe(**RECIPES[pattern]))
    called: nn.Module = module
    if how == "ddp":
        called = DistributedDataParallel(module)
    else:
        mesh = distributed.device_mesh.init_device_mesh("cpu", (RANKS,))
        fully_shard(module, mesh=mesh)
    torch.save(run(module, called, pruner, rank, RANKS), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
    # Torch frees DDP's reducer under the interpreter's lock, and with it joins a thread of gloo that may wait for it.
    os._exit(0)


@pytest.mark.parametrize("how", ["ddp", "fsdp2"])
@pytest.mark.parametrize("pattern", RECIPES)
def test_two_processes_agree_with_one(tmp_path: Path, how: str, pattern: str) -> None:
    spawn(worker, (how, pattern, str(tmp_path)), nprocs=RANKS)  # type: ignore[no-untyped-call]
    module = linear_network()
    pruner = prepare(module, (images(),), recipe(**RECIPES[pattern]))
    expected = run(module, module, pruner, 0, 1)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(RANKS))
    for part in ("masked", "weights"):
        for name, value in expected[part].items():
            assert torch.equal(first[part][name], second[part][name]), name
            torch.testing.assert_close(first[part][name], value.detach(), rtol=1e-4, atol=1e-6)
    zeros = {name: int((value == 0).sum()) for name, value in first["weights"].items() if "weight" in name}
    assert sum(zeros.values()) == ZEROS[pattern]
