"""Every code in the source has a section in docs/errors.md, and every section a code in the source."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def codes_in_source() -> dict[str, str]:
    """Return each code with the first file that uses it."""
    found: dict[str, str] = {}
    folders = ROOT / "graphprune", ROOT / "runtime" / "graphprune_runtime"
    for path in sorted(path for folder in folders for path in folder.rglob("*.[pch]*") if path.suffix != ".pyc"):
        for code in re.findall(r"GP\d{3}", path.read_text(encoding="utf-8")):
            found.setdefault(code, str(path.relative_to(ROOT)))
    return found


def sections() -> list[str]:
    return re.findall(r"^### (GP\d{3})\b", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_code_is_documented() -> None:
    documented = set(sections())
    assert {code: where for code, where in codes_in_source().items() if code not in documented} == {}


def test_every_documented_code_exists() -> None:
    assert [code for code in sections() if code not in codes_in_source()] == []


def test_no_code_is_documented_twice() -> None:
    assert len(sections()) == len(set(sections()))


def test_every_section_says_something_and_has_an_example() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    short = [part[:5] for part in parts if not re.search(r"^    \S.*\[?" + part[:5], part, re.MULTILINE)]
    assert short == []
