import re
from pathlib import Path

import pytest

from graphprune.cli.explain import explanation
from tests.invoke import assert_refused, invoke

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
CODES = re.findall(r"^### (GP\d{3})", TEXT, re.MULTILINE)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_own_section(code: str) -> None:
    section = explanation(code)
    assert section.startswith(f"{code}\n\n")
    assert section in TEXT
    assert "#" not in re.sub(r"`[^`]*`|^    .*$", "", section, flags=re.MULTILINE)


@pytest.mark.parametrize("spelling", ["GP612", "gp612", "612", "[GP612]"])
def test_a_code_may_be_pasted_in_any_spelling(spelling: str) -> None:
    assert invoke("explain", spelling).out == explanation("GP612") + "\n"


@pytest.mark.parametrize("code", ["GP999", "GP1", "nonsense", ""])
def test_an_unknown_code_is_refused(code: str) -> None:
    assert_refused(invoke("explain", code), f"no error has the code {code!r}", "GP613")
