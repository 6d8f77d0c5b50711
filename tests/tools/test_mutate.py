"""Deliberate faults: which tests judge a module, and that a fault is noticed or survives."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="needs cosmic-ray, which only `tools.mutate` does")

from tools.mutate import OPERATORS, ROOT, faults, mirrored_tests, modules


def test_the_nearest_tests_judge_a_module() -> None:
    assert mirrored_tests(Path("graphprune/verification/sides.py")) == Path("tests/verification")
    assert mirrored_tests(Path("graphprune/verification/comparison.py")) == Path(
        "tests/verification/test_comparison.py"
    )


def test_folders_are_their_modules() -> None:
    found = modules([ROOT / "graphprune" / "verification"])
    assert Path("graphprune/verification/comparison.py") in found
    assert not [path for path in found if path.name == "__init__.py"]


def test_faults_are_a_sample_that_a_seed_fixes() -> None:
    module = modules([ROOT / "graphprune" / "verification" / "comparison.py"])[0]
    drawn = faults(module, 5, 0)
    assert [str(spec) for spec in drawn] == [str(spec) for spec in faults(module, 5, 0)]
    assert len(drawn) == 5
    assert {spec.operator_name for spec in drawn} <= OPERATORS
