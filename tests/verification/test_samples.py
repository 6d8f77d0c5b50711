import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.verification.samples import feeds_of
from graphprune_runtime.interface import TensorInfo

INFOS = [
    TensorInfo("x", (2, 3), np.dtype("float32")),
    TensorInfo("n", ("batch", 3), np.dtype("int64")),
]


def x(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


def n(*shape: int) -> np.ndarray:
    return np.ones(shape, np.int64)


def test_a_sample_is_a_feed() -> None:
    (feed,) = feeds_of([{"x": x(2, 3), "n": n(5, 3)}], INFOS)
    assert {name: array.shape for name, array in feed.items()} == {"x": (2, 3), "n": (5, 3)}


def test_samples_along_an_axis_of_their_own_are_told_apart() -> None:
    feeds = list(feeds_of([{"x": x(4, 2, 3), "n": n(4, 1, 3)}], INFOS))
    assert [feed["x"][0, 0] for feed in feeds] == [0, 6, 12, 18]
    assert all(feed["n"].shape == (1, 3) for feed in feeds)


def test_samples_along_a_fixed_first_axis_are_told_apart() -> None:
    feeds = list(feeds_of([{"x": x(6, 3), "n": n(1, 3)}], INFOS))
    assert [feed["x"].tolist() for feed in feeds] == x(3, 2, 3).tolist()
    assert all(feed["n"].shape == (1, 3) for feed in feeds)


def test_one_of_a_fixed_extent_goes_with_each_sample_of_the_others() -> None:
    feeds = list(feeds_of([{"x": x(2, 3), "n": n(4, 1, 3)}], INFOS))
    assert [feed["x"].shape for feed in feeds] == [(2, 3)] * 4


def test_an_extent_of_nothing_stacks_no_samples() -> None:
    empty = TensorInfo("x", (0, 3), np.dtype("float32"))
    (feed,) = feeds_of([{"x": x(0, 3)}], [empty])
    assert feed["x"].shape == (0, 3)
    with pytest.raises(InputError, match=r"extent 2 at axis 0, expected 0.*GP515"):
        list(feeds_of([{"x": x(2, 3)}], [empty]))


def test_several_files_follow_each_other() -> None:
    one = {"x": x(2, 3), "n": n(1, 3)}
    assert len(list(feeds_of([one, {"x": x(4, 3), "n": n(1, 3)}], INFOS))) == 3


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "the inputs given hold no sample, expected at least one .GP567"),
        ([{"x": x(0, 2, 3), "n": n(1, 3)}], "no sample.*GP567"),
        ([[x(2, 3)]], "a sample is a list, expected arrays by input name .GP568"),
        ([{"x": x(4, 2, 3), "n": n(5, 1, 3)}], "different numbers of samples: .*'x': 4, 'n': 5.*GP569"),
        ([{"x": x(5, 3), "n": n(1, 3)}], "extent 5 at axis 0, expected 2.*GP515"),
        ([{"x": x(0, 3), "n": n(1, 3)}], "extent 0 at axis 0, expected 2.*GP515"),
        ([{"x": x(1, 3), "n": n(1, 3)}], "extent 1 at axis 0, expected 2.*GP515"),
        ([{"x": x(2, 3)}], "input 'n' is missing.*GP513"),
        ([{"x": x(2, 3), "n": n(1, 3), "z": n(1)}], "unknown input 'z'.*GP512"),
        ([{"x": x(2, 3).astype("float64"), "n": n(1, 3)}], "has dtype float64, expected float32.*GP514"),
        ([{"x": [1.0], "n": n(1, 3)}], "is a list, expected a NumPy array.*GP514"),
    ],
)
def test_what_is_no_sample_is_refused(samples: list[dict[str, np.ndarray]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(feeds_of(samples, INFOS))
