import json

import pytest

from graphprune.cli.output import print_json, print_line, print_table, progress


def test_json_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, 2.5, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, 2.5, None]}


def test_json_without_meaning_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


def test_cells_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("things", ("name", ">shape"), [("[bold]w[/bold]", [1, 3])])
    out = capsys.readouterr().out
    assert "[bold]w[/bold]" in out
    assert "[1, 3]" in out


def test_names_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("things", ("name",), [("\x1b[31mw\x1b]0;title\x07\u202eé",)])
    print_line("a\x1b[2Jb")
    out = capsys.readouterr().out
    assert r"\x1b[31mw\x1b]0;title\x07\u202eé" in out
    assert out.endswith("a\\x1b[2Jb\n")
    assert "\x1b[31m" not in out


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", 2) as advance:
        advance(1)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
