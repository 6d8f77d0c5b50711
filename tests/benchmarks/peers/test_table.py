from benchmarks.peers.table import footnotes, heading, line
from tests.benchmarks.peers.fakes import recorded


def test_each_peer_has_a_column() -> None:
    first, second = heading(["graphprune", "tvm"]).splitlines()
    assert first == "| model | zeros | limit, ms | graphprune, ms | tvm, ms (ratio) |"
    assert second == "|---|---|---|---|---|"


def test_a_row_has_times_ratios_and_reasons() -> None:
    study = recorded()
    assert line(study.rows[0], study.peers) == (
        "| small | 0% | 2.00 | 4.00 | 6.00 (1.50x) | ValueError: no operator Foo / Bar |"
    )


def test_another_function_is_shown() -> None:
    study = recorded()
    assert "| 15.00 (1.50x), differs by 0.3 |" in line(study.rows[-1], study.peers)


def test_without_ours_there_are_no_ratios() -> None:
    row = recorded().rows[0]
    assert line(row, ["deepsparse"]) == "| small | 0% | 2.00 | 6.00 |"


def test_footnotes_say_how_it_was_taken() -> None:
    assert footnotes(recorded()).splitlines() == [
        "A processor, 1 thread(s) of 2, batch 1; commit abc",
        "peak: 118 GFLOP/s",
        "versions: graphprune 0.1.0, deepsparse 1.8.0",
        "largest error, relative to ONNX Runtime without optimisations: graphprune 2e-07, deepsparse 3e-01",
    ]
