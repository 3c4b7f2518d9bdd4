"""A directory's repository on disk: a folder, or one file that is carried between custodians (a *proposal*).

docs/spec/directory.md, section 9. What was published is never changed in place but by a file with more signatures; the
timestamp, which makes a version the current one, is written last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hub.adapters.directory_files import MAX_BUNDLE, FolderFiles, encode_bundle, in_order, parse_bundle
from hub.adapters.files import read_file, write_file
from hub.adapters.tuf_repository import Repository

_STAGED: Final = "staged/"


def load_repository(path: Path) -> Repository:
    """The repository in a folder, or in one file. Raises ``FileUnreadable``, ``DirectoryBundleMalformed``."""
    if path.is_dir():
        folder = FolderFiles(path)
        found = {name: raw for name in folder.paths() if (raw := folder.read(name)) is not None}
        staged = {
            file.name.removesuffix(".json"): read_file(file, MAX_BUNDLE)
            for file in sorted((path / "staged").glob("*.json"))
        }
        return Repository(found, staged)
    bundle = parse_bundle(read_file(path, MAX_BUNDLE), staged=True)
    staged = {
        name.removeprefix(_STAGED).removesuffix(".json"): raw
        for name, raw in bundle.files.items()
        if name.startswith(_STAGED)
    }
    return Repository({name: raw for name, raw in bundle.files.items() if not name.startswith(_STAGED)}, staged)


def save_repository(repository: Repository, path: Path) -> None:
    """Write it to a folder (what is published first, its timestamp last, then what is staged) or to one file.

    A path that ends in ``.json`` is a file. Raises ``FileUnreadable``.
    """
    if path.suffix == ".json":
        staged = {f"{_STAGED}{name}.json": raw for name, raw in repository.staged.items()}
        write_file(path, encode_bundle({**repository.files, **staged}))
        return
    folder = FolderFiles(path)
    for name in in_order(repository.files):
        if folder.read(name) != repository.files[name]:
            folder.write(name, repository.files[name])
    for name in set(folder.paths()) - repository.files.keys():
        folder.remove(name)
    (path / "staged").mkdir(parents=True, exist_ok=True)
    for name, raw in repository.staged.items():
        write_file(path / "staged" / f"{name}.json", raw)
    for file in (path / "staged").glob("*.json"):
        if file.name.removesuffix(".json") not in repository.staged:
            file.unlink()
