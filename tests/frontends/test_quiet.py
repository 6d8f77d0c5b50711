"""Silencing libraries, for a while only."""

import logging
import warnings

import pytest

from graphprune.frontends.quiet import quiet


def test_notices_are_dropped_inside_and_kept_outside(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("graphprune.test.noisy")
    caplog.set_level(logging.INFO, logger.name)
    with quiet(logger.name), warnings.catch_warnings(record=True) as caught:
        logger.warning("inside")
        logger.error("an error")
    logger.warning("outside")
    assert [record.message for record in caplog.records] == ["an error", "outside"]
    assert caught == []


def test_an_exception_restores_the_level() -> None:
    logger = logging.getLogger("graphprune.test.noisy")
    logger.setLevel(logging.DEBUG)
    with pytest.raises(KeyError), quiet(logger.name):
        raise KeyError
    assert logger.level == logging.DEBUG
    logger.setLevel(logging.NOTSET)


def test_python_warnings_are_dropped() -> None:
    with warnings.catch_warnings(record=True) as caught:
        with quiet("graphprune.test.noisy"):
            warnings.warn("inside", stacklevel=1)
        warnings.warn("outside", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["outside"]
