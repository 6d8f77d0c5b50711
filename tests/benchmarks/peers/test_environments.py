import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import environments
from benchmarks.peers.environments import NoEnvironmentError, python_of
from benchmarks.peers.peers import PEERS, Peer

PEER = Peer("odd", "odd", "odd:open", requirements=("odd==1",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "graphprune" / "peers" / "odd"


def calls(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[tuple[str, ...]]:
    """The commands that would have been run."""
    made: list[tuple[str, ...]] = []

    def record(_peer: Peer, *command: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        made.append(command)

    monkeypatch.setattr(environments, "_call", record)
    return made


def test_a_peer_without_requirements_runs_here() -> None:
    assert python_of(PEERS["graphprune"]) == sys.executable


def test_every_requirement_is_pinned() -> None:
    assert all("==" in each for peer in PEERS.values() for each in peer.requirements)


def test_an_environment_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = calls(monkeypatch, cache)
    for _ in range(2):
        assert python_of(PEER) == str(cache / "bin" / "python")
    assert [command[0] for command in made] == [sys.executable, str(cache / "bin" / "python")]
    assert made[1][-1] == "odd==1"


def test_another_pin_makes_it_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = calls(monkeypatch, cache)
    python_of(PEER)
    python_of(replace(PEER, requirements=("odd==2",)))
    assert len(made) == 4
    assert "--clear" in made[2]


def test_a_missing_python_is_named() -> None:
    with pytest.raises(NoEnvironmentError, match=r"^odd needs python3\.98 or python3\.99 on the path$"):
        python_of(replace(PEER, pythons=("3.98", "3.99")))


def test_a_failed_installation_is_one_line() -> None:
    script = "import sys; sys.exit('looking\\nERROR: no odd==1\\nnotice')"
    with pytest.raises(NoEnvironmentError, match=r"^odd cannot be installed: ERROR: no odd==1$"):
        environments._call(PEER, sys.executable, "-c", script)
