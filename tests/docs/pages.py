"""Pages whose Python blocks are one program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_page(name: str) -> dict[str, Any]:
    """Run the Python blocks of a page from top to bottom in the current folder; the names that they leave."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", (_DOCS / name).read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, f"docs/{name}", "exec"), names)  # noqa: S102 - our own page
    return names
