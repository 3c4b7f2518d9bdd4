"""Which permission bits a private key's file must not have, wherever it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077
_OTHERS_BUT_GROUP_READ: Final = 0o037


def forbidden_bits(path: Path) -> int:
    """The bits that make the key in ``path`` one that others can read or write.

    Everybody's but the owner's. Below the folder that ``CREDENTIALS_DIRECTORY`` names (systemd.exec(5), "Credentials";
    a deployment on Kubernetes sets it itself) the group may read: whoever provides that folder gives the process access
    by an access control list or by a group that it alone has, and both show there. docs/adr/0108.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if os.path.isabs(folder) and Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        return _OTHERS_BUT_GROUP_READ
    return _OTHERS
