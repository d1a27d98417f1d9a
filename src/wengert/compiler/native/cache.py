"""Object code on disk, so that a second process starts warm.

An entry is a file named by the hash of all that its contents depend on, and holds a checksum and
the contents. Files appear whole (they are written aside and renamed) and may vanish at any time;
whatever is damaged is as good as absent. Nothing here ever fails: without a directory that is
ours to write to, there is no cache.

    WENGERT_CACHE_DIR    where; "" for no cache. Default: wengert in the system's cache directory
    WENGERT_CACHE_SIZE   at most how much, in bytes or as 100K, 512M, 2G. Default: 512M
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

SUFFIX = ".o"
_MAGIC = b"wengert\n"
_CHECKSUM = 32
_CROWDED = 0.75  # what is left of the bound after an eviction, so that they are rare


def read(key: str) -> bytes | None:
    """What was written under a key, if it is there unharmed."""
    folder = _folder()
    if folder is None:
        return None
    path = folder / (key + SUFFIX)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    contents = data[len(_MAGIC) + _CHECKSUM:]
    if data != _sealed(key, contents):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # eviction goes by last use
    return contents


def write(key: str, contents: bytes) -> None:
    """Keeps contents under a key, if it can be done."""
    folder = _folder()
    if folder is None:
        return
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=folder)  # for its owner's eyes only
        with os.fdopen(handle, "wb") as file:
            file.write(_sealed(key, contents))
        os.replace(temporary, folder / (key + SUFFIX))
    except OSError:
        if temporary is not None:
            _remove(temporary)
        return
    _evict(folder, limit())


def limit() -> int:
    """How many bytes the cache may take."""
    text = os.environ.get("WENGERT_CACHE_SIZE", "512M").strip().upper()
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
    try:
        return int(float(text.rstrip("KMG")) * scale)
    except (ValueError, OverflowError):
        return 512 << 20


def directory() -> Path | None:
    """Where the cache is to be; None for no cache."""
    chosen = os.environ.get("WENGERT_CACHE_DIR")
    if chosen is not None:
        return Path(chosen) if chosen else None
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return Path(base) / "wengert" if os.path.isabs(base) else None


def _folder() -> Path | None:
    """The directory, made if need be; None unless it is ours alone to write to: who can write
    there can make us run code."""
    folder = directory()
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return None
    if not hasattr(os, "getuid"):
        return folder
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if found.st_uid == os.getuid() and not others else None


def _sealed(key: str, contents: bytes) -> bytes:
    """An entry: a file copied under another's name, or cut short, does not match its checksum."""
    return _MAGIC + hashlib.sha256(key.encode() + b"\0" + contents).digest() + contents


def _evict(folder: Path, bound: int) -> None:
    """Removes the entries that were used longest ago, if all take more than the bound."""
    entries = []
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                entries.append((about.st_mtime, about.st_size, entry.path))
    total = sum(size for _, size, _ in entries)
    if total <= bound:
        return
    for _, size, path in sorted(entries):
        if total <= bound * _CROWDED:
            break
        _remove(path)
        total -= size


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
