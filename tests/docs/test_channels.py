"""docs/channels.md: its code runs from top to bottom."""

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")


def test_the_code_runs() -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(compile(block, "docs/channels.md", "exec"), names)  # noqa: S102 - our own page
    assert len(blocks) == 8
    assert "masked" in names


def test_every_code_that_it_names_is_described() -> None:
    errors = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    for code in re.findall(r"GP\d{3}", TEXT):
        assert f"### {code}\n" in errors
