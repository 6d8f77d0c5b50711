"""The page in a browser: labels as it draws them, narrow screens, no errors. Skipped where there is no Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from graphprune.reporting.page import page
from tests.reporting.page.test_scatter import crowd

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

MEASURE = """
<pre id="measured"></pre>
<script>
const boxes = [...document.querySelectorAll("svg .label, svg .chosen, svg .bound-label")].map(text => {
  const {x, y, width, height} = text.getBBox();
  return {picture: text.closest("svg").id, text: text.textContent, x, y, width, height};
});
const page = {wide: document.documentElement.scrollWidth, screen: document.documentElement.clientWidth};
document.getElementById("measured").textContent = JSON.stringify({boxes, page});
</script>
"""


def measure(folder: Path, size: str) -> tuple[dict[str, Any], str]:
    """What a browser says of the sizes on the page, and what it prints on errors."""
    path = folder / "page.html"
    path.write_text(page(crowd(15)).replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={folder}/profile",
    ]
    command = [BROWSER or "", *options, f"--window-size={size}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout)
    assert found
    return json.loads(found[1].replace("&amp;", "&")), done.stderr


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    across: bool = one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
    # Lines of text are as high as their font asks for; letters fill the 12 units in the middle.
    down: bool = abs(one["y"] - other["y"]) < 12
    return across and down


@needs_browser
@pytest.mark.parametrize(("size", "picture"), [("1280,900", "pareto-wide"), ("400,900", "pareto-narrow")])
def test_the_page_in_a_browser(tmp_path: Path, size: str, picture: str) -> None:
    found, printed = measure(tmp_path, size)
    boxes = [each for each in found["boxes"] if each["width"]]
    assert {each["picture"] for each in boxes} == {picture}
    assert not any(overlap(one, other) for number, one in enumerate(boxes) for other in boxes[:number])
    assert found["page"]["wide"] <= found["page"]["screen"]
    assert "CONSOLE" not in printed
