"""The checkpoint that every row of the study starts from.

python -m benchmarks.accuracy.pretrain --data cifar10_jpeg.npz --cache FOLDER

writes benchmarks/accuracy/resnet20.npz and resnet20.json; about a quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks.accuracy import checkpoint
from benchmarks.accuracy.data import load_split
from benchmarks.accuracy.model import ResNet
from benchmarks.accuracy.train import Settings, accuracy, fit

HERE = Path(__file__).parent
WEIGHTS = HERE / "resnet20.npz"
SETTINGS = Settings(epochs=12, rate=0.2, seed=0, warmup=0.15, decay=5e-4)


def pretrained(path: Path = WEIGHTS) -> ResNet:
    """Return the dense network, trained."""
    module = ResNet()
    module.load_state_dict(checkpoint.load(path))
    return module.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the .npz of CIFAR-10 as JPEG files")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for decoded images and checkpoints")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test = (load_split(options.data, options.cache, name) for name in ("train", "test"))
    torch.manual_seed(SETTINGS.seed)
    module: ResNet = ResNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        module.parameters(), SETTINGS.rate, SETTINGS.momentum, weight_decay=SETTINGS.decay, nesterov=True
    )
    history = fit(
        module,
        optimizer,
        SETTINGS,
        train,
        after_epoch=lambda: {"accuracy": accuracy(module, test)},
        path=options.cache / "pretrain.npz",
    )
    checkpoint.save(WEIGHTS, module.state_dict())
    WEIGHTS.with_suffix(".json").write_text(
        json.dumps({"settings": vars(SETTINGS), "epochs": history}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
