"""For an agency's own programs: a Publisher and a Subscriber from a site's configuration. docs/guides/client.md."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hub.adapters.watched_keys import WatchedKemKeys
from hub.app.keys import key_access
from hub.app.process import SettingMissing, following, start_process
from hub.app.site import load_publisher_key, make_publisher, make_subscriber
from hub.client.publisher import Publisher
from hub.client.sink import Sink
from hub.client.subscriber import Subscriber
from hub.log_words import configure
from hub.settings import SiteSettings, load_site


@asynccontextmanager
async def open_publisher(config: Path) -> AsyncIterator[Publisher]:
    """The Publisher of the site whose configuration is at ``config``, open while the context is.

    Raises ``ConfigError`` where a file of the configuration is wrong, or another process has this site's outbox.
    """
    settings = _load(config)
    signing = load_publisher_key(settings)
    process = start_process(settings, "publish")
    async with following(process.directory), make_publisher(process, settings, signing) as publisher:
        yield publisher


@asynccontextmanager
async def open_subscriber(config: Path, *sinks: Sink) -> AsyncIterator[Subscriber]:
    """The Subscriber of the site at ``config``, into ``sinks`` instead of its ``[[sink]]`` tables; call its ``run()``.

    Raises ``ConfigError`` where a file of the configuration is wrong, or another process has this site's inbox.
    """
    settings = _load(config)
    if settings.keys.kem is None:
        raise SettingMissing('to receive, the site needs kem = "..." in [keys]')
    process = start_process(settings, "site")
    kem_keys = WatchedKemKeys(settings.keys.kem, key_access(settings.keys))
    async with following(process.directory), make_subscriber(process, settings, kem_keys, sinks) as subscriber:
        yield subscriber


def _load(config: Path) -> SiteSettings:
    """The settings; the log goes where and how they say: to standard error."""
    settings = load_site(config)
    configure(json=settings.log.form == "json", level=logging.getLevelNamesMapping()[settings.log.level.upper()])
    return settings
