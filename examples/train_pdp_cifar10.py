"""PDP on CIFAR-10, from a trained ResNet-20 to a compiled sparse one.

python -m examples.train_pdp_cifar10 --data cifar10_jpeg.npz [--sparsity 0.9] [--epochs 8] [--folder FOLDER]

from the root of the repository. Starts from the checkpoint of the accuracy study (benchmarks/accuracy), trains with
soft masks, prints the accuracy of the soft and of the hardened network after every epoch, and compiles the result.
About a minute an epoch on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import graphprune as gp
from benchmarks.accuracy.data import Split, load_split
from benchmarks.accuracy.pretrain import pretrained
from benchmarks.accuracy.train import Record, Settings, accuracy, fit
from graphprune.training import Schedule, TrainingSettings, prepare


def main() -> None:
    """Train, harden, export and compile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the .npz of CIFAR-10 as JPEG files")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, help="train on the first so many only")
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    train, test = (_first(load_split(options.data, options.folder, name), options.images) for name in ("train", "test"))

    settings = Settings(epochs=options.epochs, rate=0.05, seed=0)
    steps = settings.epochs * (len(train) // settings.batch)
    schedule = Schedule(length=max(1, round(0.8 * steps)), ramp="constant")
    training = TrainingSettings(schedule=schedule, temperature="1t2", final_temperature="0")
    recipe = gp.Recipe(sparsity=options.sparsity, scope="global", ignore=("classifier.weight",), training=training)
    module = pretrained()
    pruner = prepare(module, (torch.zeros(1, 3, 32, 32),), recipe)
    optimizer = torch.optim.SGD(
        module.parameters(), settings.rate, settings.momentum, weight_decay=settings.decay, nesterov=True
    )

    def after_epoch() -> Record:
        soft = accuracy(module, test)
        with pruner.hardened():
            return {"soft": soft, "hard": accuracy(module, test), "ratio": pruner.ratio}

    fit(
        module,
        optimizer,
        settings,
        train,
        after_step=pruner.step,
        after_epoch=after_epoch,
        others={"pruner": pruner},
        path=options.folder / "training.npz",
    )
    sparse = gp.from_torch(pruner.finalize(), (torch.zeros(1, 3, 32, 32),))
    gp.save(sparse, options.folder / "resnet20.onnx")
    session = gp.compile(sparse)
    session.save(options.folder / "resnet20.so")
    gp.verify(sparse, session).raise_for_failure()
    print(f"{accuracy(module, test):.1%} at {options.sparsity:.0%} zeros")
    print("resnet20.so computes what resnet20.onnx computes")


def _first(split: Split, count: int | None) -> Split:
    return Split(split.images[:count], split.labels[:count])


if __name__ == "__main__":
    main()
