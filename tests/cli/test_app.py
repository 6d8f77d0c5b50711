import json
import os
import subprocess
import sys

import pytest

import graphprune
from graphprune.targets.target import TARGETS
from tests.invoke import invoke

COMMANDS = ("inspect", "prune", "compile", "run", "verify", "bench", "targets", "demo")


def test_the_version_is_printed() -> None:
    assert invoke("--version").out == f"graphprune {graphprune.__version__}\n"


def test_help_lists_every_command() -> None:
    out = invoke("--help").out
    assert all(f" {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", [(), ("prune",), ("bench",)])
def test_help_has_a_short_form(command: tuple[str, ...]) -> None:
    assert invoke(*command, "-h").out == invoke(*command, "--help").out


def test_shells_complete_commands() -> None:
    environment = {
        **os.environ,
        "_GRAPHPRUNE_COMPLETE": "complete_bash",
        "COMP_WORDS": "graphprune ver",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(["graphprune"], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.split() == ["verify"]


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "graphprune", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"graphprune {graphprune.__version__}\n"


def test_without_a_command_there_is_help() -> None:
    assert "Usage:" in invoke().out


def test_targets_are_listed() -> None:
    listed = json.loads(invoke("targets", "--json").out)
    assert {target["name"] for target in listed} >= set(TARGETS)
    assert "x86-64-v4" in invoke("targets").out


def test_the_entry_point_runs() -> None:
    command = [sys.executable, "-c", "from graphprune.cli import main; main()", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("graphprune ")
