import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from graphprune.cli.errors import OneLineErrors
from graphprune.errors import ModelFileError, VerificationError
from tests.invoke import invoke


def run(action: Callable[[], None]) -> tuple[int, str]:
    app = typer.Typer(cls=OneLineErrors)

    @app.callback()
    def nothing() -> None: ...

    app.command("act")(action)
    result = CliRunner().invoke(app, ["act"])
    return result.exit_code, result.stderr


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ModelFileError("m.onnx: no such file", code="GP101"), 2, "error: m.onnx: no such file [GP101]\n"),
        (VerificationError("outputs differ", code="GP565"), 1, "error: outputs differ [GP565]\n"),
        (OSError(errno.ENOSPC, "No space left on device", "m.so"), 2, "error: m.so: No space left on device [GP690]\n"),
        (MemoryError(), 2, "error: out of memory [GP691]\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (ModelFileError("first\n  second"), 2, "error: first second\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(error: BaseException, code: int, line: str) -> None:
    assert run(raising(error)) == (code, line)


def test_under_json_an_error_is_json() -> None:
    outcome = invoke("inspect", "missing.onnx", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    error = json.loads(outcome.err)["error"]
    assert error == {
        "code": "GP101",
        "message": "cannot read 'missing.onnx': No such file or directory",
        "exit_code": 2,
    }


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (VerificationError("outputs differ", code="GP565"), "GP565", 1),
        (OSError(errno.ENOSPC, "No space left on device"), "GP690", 2),
        (MemoryError(), "GP691", 2),
        (ZeroDivisionError("division by zero"), "GP692", 2),
        (KeyboardInterrupt(), None, 130),
    ],
)
def test_under_json_every_error_is_json(error: BaseException, code: str | None, exit_code: int) -> None:
    app = typer.Typer(cls=OneLineErrors)
    app.callback()(lambda: None)

    @app.command("act")
    def act(*, json: Annotated[bool, typer.Option("--json")]) -> None:
        assert json
        raise error

    result = CliRunner().invoke(app, ["act", "--json"])
    described = json.loads(result.stderr)["error"]
    assert (result.exit_code, described["exit_code"], described["code"]) == (exit_code, exit_code, code)
    assert described["message"]


def test_under_json_a_misspelt_option_is_json() -> None:
    error = json.loads(invoke("inspect", "m.onnx", "--json", "--grups").err)["error"]
    assert error["code"] == "GP600"
    assert "--grups" in error["message"]


def test_a_defect_says_so_without_a_traceback() -> None:
    code, line = run(raising(ZeroDivisionError("division by zero")))
    assert code == 2
    assert line.startswith("error: internal error: ZeroDivisionError: division by zero (set GRAPHPRUNE_TRACEBACK=1")


def test_the_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHPRUNE_TRACEBACK", "1")
    app = typer.Typer(cls=OneLineErrors)
    app.callback()(lambda: None)
    app.command("act")(raising(ZeroDivisionError()))
    assert isinstance(CliRunner().invoke(app, ["act"]).exception, ZeroDivisionError)


def test_an_exit_code_is_kept() -> None:
    assert run(raising(typer.Exit(1))) == (1, "")


def test_a_reader_who_left_is_not_told() -> None:
    assert run(raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == (2, "")


def cli(*arguments: str, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from graphprune.cli import main; main()", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


def test_the_traceback_reaches_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHPRUNE_TRACEBACK", "1")
    done = cli("inspect", "missing.onnx", stdout=subprocess.DEVNULL)
    assert done.stderr.startswith("Traceback")
    assert "missing.onnx" in done.stderr.splitlines()[-1]


def test_a_closed_pipe_ends_quietly() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = cli("targets", stdout=write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = cli("targets", stdout=full)
    os.close(full)
    assert (done.returncode, done.stderr) == (2, "error: No space left on device [GP690]\n")
