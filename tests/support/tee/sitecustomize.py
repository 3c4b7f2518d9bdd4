"""Copies what a Python process of the test run writes to standard error into a file of its own: tests/support/leaks.py.

Python imports a module of this name by itself at its start; PYTHONPATH names this folder while tests run.
"""

import os
import sys

_folder = os.environ.get("CGI_TESTS_STDERR")


class _Tee:
    def __init__(self, inner, file):
        self._inner = inner
        self._file = file

    def write(self, text):
        self._file.write(text)
        return self._inner.write(text)

    def __getattr__(self, name):
        return getattr(self._inner, name)


if _folder and os.path.isdir(_folder) and sys.stderr is not None:
    try:
        # unbuffered beneath, line by line above: what a killed process had written is there
        _path = os.path.join(_folder, f"{os.getpid()}-{os.urandom(4).hex()}.stderr")
        _file = open(_path, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        _file.write(f"{os.environ.get('PYTEST_CURRENT_TEST', '')}\n")
        sys.stderr = _Tee(sys.stderr, _file)
    except OSError:
        pass
