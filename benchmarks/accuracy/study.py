"""One row of the accuracy study, or all that are missing: the same checkpoint, epochs and batches for every method.

python -m benchmarks.accuracy.study --data cifar10_jpeg.npz --cache FOLDER --row pdp:0.95:1
python -m benchmarks.accuracy.study --data cifar10_jpeg.npz --cache FOLDER --all

A row is `method:target:seed`, the target a sparsity, an N:M pattern or blocks with their sparsity (`1x4@0.75`);
`pdp+int8:1:4:1` trains with fake quantizers of 8 bits before every product, `pdp/cubic@0.1t2:0.95:1` names another
ramp and temperature, `pdp/constant@1t2~0:0.95:1` one that falls, `str@3e-3:0.95:1` the weight decay of STR's logits,
which decides what sparsity it ends at. A row that was stopped goes on where its last epoch ended; one whose result
exists is not run again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

import graphprune as gp
from benchmarks.accuracy.data import Split, batches, load_split
from benchmarks.accuracy.model import ResNet
from benchmarks.accuracy.pretrain import WEIGHTS, pretrained
from benchmarks.accuracy.quantized import quantize_aware
from benchmarks.accuracy.train import Record, Settings, accuracy, fit
from graphprune.files import atomic_write
from graphprune.measuring.environment import read_environment
from graphprune.training import Pruner, prepare

RESULTS = Path(__file__).parent / "results"
EPOCHS = 8
RAMP = 0.8
"""The share of the run in which the target is reached; the rest is for the weights that stay."""
RATE = 0.05
SERVED_BATCH, CALIBRATION_BATCHES = 100, 3
PDP = "pdp/constant@1t2~0"
"""The setting of PDP that the table compares: docs/accuracy.md says how it was chosen."""
STR = (("str@3e-3", "0.95"), ("str@2.4e-3", "0.9"))
"""With the decays that end near the targets."""


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        temperature: What stands behind the `@`: of PDP's masks, or the weight decay of STR's logits.
        int8: Whether inputs and weights are quantized in training.
    """

    method: str
    target: str
    seed: int
    temperature: str = "1e-4"
    ramp: str = ""
    int8: bool = False

    @classmethod
    def parse(cls, text: str) -> Row:
        """Read `method[/ramp][@temperature][+int8]:target:seed`; the target may hold a colon itself."""
        method, _, rest = text.partition(":")
        method, _, kind = method.partition("+")
        target, _, seed = rest.rpartition(":")
        method, _, temperature = method.partition("@")
        method, _, ramp = method.partition("/")
        return cls(method, target, int(seed), temperature or "1e-4", ramp, kind == "int8")

    @property
    def name(self) -> str:
        """What its files are called."""
        method = self.method + (f"_{self.ramp}" if self.ramp else "")
        method += "" if self.temperature == "1e-4" else f"@{self.temperature}"
        method += "+int8" if self.int8 else ""
        return f"{method}-{self.target.replace(':', 'of')}-seed{self.seed}"

    def recipe(self, steps: int) -> gp.Recipe:
        """Return what is pruned, the same for every method, and how."""
        ramp = self.ramp or {"gmp": "cubic", "pdp": "linear"}.get(self.method, "constant")
        has_length = self.method in {"pdp", "gmp"}
        schedule: dict[str, Any] = {"ramp": ramp} | ({"length": round(RAMP * steps)} if has_length else {})
        temperature = self.temperature if self.method == "pdp" else "1e-4"
        first, _, last = temperature.partition("~")
        training: dict[str, Any] = {"method": self.method, "temperature": first, "schedule": schedule}
        training |= {"final_temperature": last or first}
        return gp.Recipe(**self._what(), ignore=("classifier.weight",), training=training)  # type: ignore[arg-type]

    def _what(self) -> dict[str, Any]:
        if ":" in self.target:
            return {"pattern": self.target}
        block, _, sparsity = self.target.rpartition("@")
        return {"sparsity": float(sparsity), "scope": "global"} | ({"pattern": f"block {block}"} if block else {})


def default_rows() -> list[Row]:
    """Every row of the table, one seed after the other."""
    unstructured = product((PDP, "gmp", "one-shot"), ("0.95", "0.9"))
    targets = [*unstructured, *STR, (PDP, "1:4"), ("sr-ste", "1:4")]
    return [Row.parse(f"{method}:{target}:{seed}") for seed in (1, 2, 3) for method, target in targets]


def file_name(row: Row, settings: Settings) -> str:
    """What the files of a run are called."""
    kind = "" if settings.halves else "-float32"
    return f"{row.name}{kind}" + ("" if settings.epochs == EPOCHS else f"-{settings.epochs}epochs")


def run(row: Row, settings: Settings, train: Split, test: Split, cache: Path) -> Record:
    """Train, harden, export, compile and measure."""
    module = pretrained(WEIGHTS)
    if row.int8:
        quantize_aware(module)
    steps = settings.epochs * (len(train) // settings.batch)
    pruner = prepare(module, (torch.zeros(1, 3, 32, 32),), row.recipe(steps))
    optimizer = _optimizer(module, settings, float(row.temperature) if row.method == "str" else 0.0)

    def after_epoch() -> Record:
        with settings.autocast():
            return measured()

    def measured() -> Record:
        soft = accuracy(module, test)
        report = pruner.report()
        undecided = sum(layer.undecided * layer.size for layer in report.layers)
        with pruner.hardened():
            hard = accuracy(module, test)
        share = undecided / sum(layer.size for layer in report.layers)
        return {"soft": soft, "hard": hard, "ratio": pruner.ratio, "undecided": share}

    history = fit(
        module,
        optimizer,
        settings,
        train,
        after_step=pruner.step,
        after_epoch=after_epoch,
        others={"pruner": pruner},
        path=cache / f"{file_name(row, settings)}.npz",
    )
    return {
        **asdict(row),
        "settings": asdict(settings),
        "recipe": pruner.recipe.model_dump(mode="json", exclude_none=True),
        "epochs": history,
        **_served(module, pruner, train, test),
        "environment": asdict(read_environment()) | {"torch": torch.__version__, "threads": torch.get_num_threads()},
    }


def _optimizer(module: ResNet, settings: Settings, logit_decay: float) -> torch.optim.Optimizer:
    named = dict(module.named_parameters())
    logits = [value for name, value in named.items() if name.endswith("threshold_logit")]
    others = [value for name, value in named.items() if not name.endswith("threshold_logit")]
    groups = [{"params": others, "weight_decay": settings.decay}, {"params": logits, "weight_decay": logit_decay}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]], settings.rate, settings.momentum, nesterov=True
    )


def _served(module: ResNet, pruner: Pruner, train: Split, test: Split) -> Record:
    """The accuracy of the exported and compiled network, quantized afterwards too, and the zeros it was made of."""
    names = [site.name for site in pruner.sites]
    finished = pruner.finalize().eval()
    weights = [finished.get_parameter(name) for name in names]
    total, kept = sum(weight.numel() for weight in weights), sum(int(weight.count_nonzero()) for weight in weights)
    model = gp.from_torch(finished, (torch.zeros(SERVED_BATCH, 3, 32, 32),))
    measured = {"accuracy": _compiled_accuracy(model, test), "torch_accuracy": accuracy(module, test)}
    if not any(node.op_type == "QuantizeLinear" for node in model.graph):
        samples = [_feed(model, images) for images, _ in islice(batches(train, SERVED_BATCH), CALIBRATION_BATCHES)]
        measured["quantized_accuracy"] = _compiled_accuracy(gp.quantize(model, samples).model, test)
    return measured | {"sparsity": 1 - kept / total}


def _compiled_accuracy(model: ir.Model, test: Split) -> float:
    session, right = gp.compile(model), 0
    for images, labels in batches(test, SERVED_BATCH):
        (scores,) = session.run(None, _feed(model, images))
        right += int((scores.argmax(1) == labels.numpy()).sum())
    return right / len(test)


def _feed(model: ir.Model, images: torch.Tensor) -> dict[str, npt.NDArray[np.float32]]:
    return {str(model.graph.inputs[0].name): np.ascontiguousarray(images.numpy())}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the .npz of CIFAR-10 as JPEG files")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for decoded images and checkpoints")
    parser.add_argument(
        "--row", action="append", default=[], type=Row.parse, help="method:target:seed; may be repeated"
    )
    parser.add_argument("--all", action="store_true", help="every row of the table")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test = (load_split(options.data, options.cache, name) for name in ("train", "test"))
    for row in [*options.row, *(default_rows() if options.all else [])]:
        settings = Settings(epochs=options.epochs, rate=RATE, seed=row.seed)
        target = RESULTS / f"{file_name(row, settings)}.json"
        if target.exists():
            continue
        print(row, flush=True)
        result = run(row, settings, train, test, options.cache)
        with atomic_write(target) as file:
            file.write((json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
