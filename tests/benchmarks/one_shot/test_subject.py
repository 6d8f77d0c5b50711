"""What is prepared can be scored again."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx_ir as ir

from benchmarks.one_shot.sources import Sources
from benchmarks.one_shot.subject import Array, Prepared, score_file, spread, write

SUM = """<ir_version: 10, opset_import: ["": 20]>
sum (float[1, 2] x) => (float[1] y) <int64[1] axis = {1}> { y = ReduceSum <keepdims = 0> (x, axis) }"""


class Sums:
    """Half of the sums are as expected."""

    metric = "share"
    more_is_better = True

    def prepare(self, sources: Sources) -> Prepared:  # noqa: ARG002
        samples = {"x": np.array([[1, 2], [3, 4]], np.float32)}
        return Prepared(ir.from_onnx_text(SUM), samples, samples, np.array([3, 0]))

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        return float(np.mean(np.equal(np.concatenate(list(outputs)), expected)))


def test_a_file_is_scored_sample_by_sample(tmp_path: Path) -> None:
    subject = Sums()
    write(subject.prepare(Sources(tmp_path, tmp_path)), tmp_path / "cache")
    assert score_file(subject, tmp_path / "cache", tmp_path / "cache" / "dense.onnx") == 0.5


def test_spread_takes_both_ends() -> None:
    assert spread(np.arange(10), 4).tolist() == [0, 3, 6, 9]
