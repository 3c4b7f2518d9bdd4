"""What every test can ask for, and what none leaves behind."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.support.broker import broker as broker
from tests.support.leaks import pytest_configure as pytest_configure
from tests.support.leaks import pytest_runtest_logreport as pytest_runtest_logreport
from tests.support.leaks import pytest_sessionfinish as pytest_sessionfinish
from tests.support.leaks import pytest_terminal_summary as pytest_terminal_summary


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command that a test runs sets the log up for its whole process."""
    yield
    structlog.reset_defaults()
    ours = [handler for handler in logging.root.handlers if type(handler).__module__ == "hub.log_words"]
    for handler in ours:
        logging.root.removeHandler(handler)
