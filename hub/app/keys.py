"""How this process gets at its keys: one passphrase, one token for each place that the settings name.

One for the process, because what was derived from a passphrase is remembered with it, and a PIN that was refused too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hub.adapters.key_files import KeyAccess
from hub.adapters.passphrase import PIN_CREDENTIAL, find_secret, passphrase_source
from hub.adapters.tls import TlsFiles
from hub.adapters.token import TokenSlot
from hub.settings import KafkaSettings, KeyAccessSettings
from hub.trust.keys import PassphraseSource


def key_access(keys: KeyAccessSettings) -> KeyAccess:
    """What ``[keys]`` says about encrypted keys and tokens; nothing is read or asked yet."""
    token = None if keys.token_library is None else _slot(keys.token_library, keys.token_pin_file).open
    return KeyAccess(_source(keys.passphrase_file), token)


def tls_files(kafka: KafkaSettings) -> TlsFiles:
    """The files of ``[kafka]``; nothing is read yet."""
    return TlsFiles(kafka.ca, kafka.certificate, kafka.key, _source(kafka.passphrase_file))


@cache
def _source(file: Path | None) -> PassphraseSource:
    return passphrase_source(file)


@cache
def _slot(library: Path, pin_file: Path | None) -> TokenSlot:
    return TokenSlot(library, lambda: find_secret(pin_file, PIN_CREDENTIAL, "PIN"))
