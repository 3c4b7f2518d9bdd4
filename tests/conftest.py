"""What every test can ask for."""

from tests.support.broker import broker as broker
