"""Training masks on a live torch module: `prepare`, then `Pruner.step`, `report` and `finalize`."""

from graphprune.training.prepare import prepare
from graphprune.training.pruner import Pruner
from graphprune.training.report import LayerReport, PruningReport
from graphprune.training_settings import Schedule, TrainingSettings

__all__ = ["LayerReport", "Pruner", "PruningReport", "Schedule", "TrainingSettings", "prepare"]
