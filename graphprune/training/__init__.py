"""Training masks on a live torch module: `prepare`, then `Pruner.step`, `report` and `finalize`.

Imports: analysis, diagnostics, errors, frontends, graph, masks, passes, planning.
"""

from graphprune.planning.training_settings import Schedule, TrainingSettings
from graphprune.training.prepare import prepare
from graphprune.training.pruner import Pruner
from graphprune.training.report import LayerReport, PruningReport

__all__ = ["LayerReport", "Pruner", "PruningReport", "Schedule", "TrainingSettings", "prepare"]
