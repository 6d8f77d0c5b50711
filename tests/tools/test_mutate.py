"""Deliberate faults: which tests judge a module, and that a fault is noticed or survives."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="needs cosmic-ray, which only `tools.mutate` does")

from tools.mutate import (
    OPERATORS,
    ROOT,
    Fault,
    Outcome,
    Verdict,
    equivalent,
    faults,
    judge,
    judges,
    mirrored_tests,
    modules,
    table,
)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_nearest_tests_judge_a_module() -> None:
    assert mirrored_tests(Path("graphprune/verification/sides.py")) == (Path("tests/verification"),)
    assert mirrored_tests(Path("graphprune/masks/pdp.py")) == (Path("tests/masks/test_pdp.py"),)
    folder = Path("tests/backends/tvm/batch")
    found = mirrored_tests(Path("graphprune/backends/tvm/batch/rules.py"))
    assert found == (folder / "test_rules_axes.py", folder / "test_rules.py")


def test_folders_are_their_modules() -> None:
    found = modules(ROOT / "graphprune" / "verification")
    assert Path("graphprune/verification/comparison.py") in found
    assert not [path for path in found if path.name == "__init__.py"]


def test_faults_are_a_sample_that_a_seed_fixes() -> None:
    area = ROOT / "graphprune" / "masks" / "criteria.py"
    drawn = faults(area, 3, 0)
    assert [str(spec) for spec in drawn] == [str(spec) for spec in faults(area, 3, 0)]
    assert len(drawn) == 3
    assert {spec.operator_name for spec in drawn} <= OPERATORS
    assert [str(spec) for spec in drawn] != [str(spec) for spec in faults(area, 3, 1)]


def test_a_fault_is_caught_and_the_tree_stays_as_it_was() -> None:
    spec = faults(ROOT / "graphprune/passes/fresh_names.py", 1, 0)[0]
    before = (ROOT / spec.module_path).read_bytes()
    with judges(1) as pool:
        verdict = pool.submit(judge, spec).result()
    assert verdict.outcome is Outcome.CAUGHT
    assert verdict.fault.line != verdict.fault.becomes
    assert (ROOT / spec.module_path).read_bytes() == before


def test_the_table_leaves_what_changes_nothing_out_of_the_share() -> None:
    outcomes = [Outcome.CAUGHT, Outcome.CAUGHT, Outcome.SURVIVED, Outcome.EQUIVALENT]
    verdicts = [Verdict(Fault("m", "a", "b"), 1, outcome) for outcome in outcomes]
    assert list(table({Path("graphprune/masks"): verdicts}))[2:] == ["| `graphprune/masks` | 4 | 2 | 1 | 1 | 67% |"]


@pytest.mark.parametrize("fault", equivalent(), ids=lambda fault: f"{fault.module}: {fault.becomes}")
def test_what_changes_nothing_is_about_lines_that_there_are(fault: Fault) -> None:
    lines = (ROOT / fault.module).read_text(encoding="utf-8").splitlines()
    assert fault.line in {line.strip() for line in lines}
    assert len(equivalent()[fault]) > 10
