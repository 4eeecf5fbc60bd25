"""A shard of packed pairs: on this machine, or at a URL and fetched through a cache of bounded size."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import make_folder
from ..errors import LightDepthError
from .remote import download

__all__ = ["DEFAULT_CACHE_GB", "LocalShard", "RemoteShard", "Shard", "ShardCache"]

DEFAULT_CACHE_GB = 32.0
_POLL_S = 0.05
# Of shards that could not be had, by SHA-256: why, and until when that is the answer, for as long again as the tries
# took. Else threads and pairs that want the same shard would wait for it one after another.
_faults: dict[str, tuple[float, str]] = {}


@dataclass(frozen=True)
class LocalShard:
    """A file, which is mapped into memory."""

    path: Path
    sha256: str

    def __str__(self) -> str:
        return str(self.path)

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """Copy the bytes from `start` to `end`, or to the end of the file where that comes first."""
        return np.array(_map(self.path)[start:end])


@dataclass(frozen=True)
class RemoteShard:
    """A file at a URL, and the cache that holds it for a while."""

    url: str
    size_bytes: int
    sha256: str
    cache: ShardCache

    def __str__(self) -> str:
        return self.url

    def fetch(self) -> Path:
        """Return its file in the cache, fetched where it isn't there."""
        return self.cache.fetch(self)

    def touch(self) -> None:
        """Note that it is wanted, so that others go before it."""
        with suppress(OSError):  # it isn't there yet, or not any more, or is another user's
            os.utime(self.cache.path_of(self))

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """Read the bytes from `start` to `end`; never mapped, so that a deleted shard gives its room free."""
        while True:
            try:
                content = np.fromfile(self.fetch(), np.uint8, end - start, offset=start)
            except FileNotFoundError:  # deleted for another one's sake
                continue
            self.touch()
            return content


Shard = LocalShard | RemoteShard


def _default_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightdepth" / "shards"


@dataclass(frozen=True)
class ShardCache:
    """Shards by their SHA-256, so that a changed one is another file; the one unused for longest goes first.

    A shard is checked once, when it comes. What is still coming counts as whole, so that the folder's files never take
    more than `limit_bytes`.
    """

    folder: Path = field(default_factory=_default_folder)
    limit_bytes: int = int(DEFAULT_CACHE_GB * 1e9)

    def path_of(self, shard: RemoteShard) -> Path:
        """Return where a shard lies when it is there."""
        return self.folder / f"{shard.sha256}.bin"

    def fetch(self, shard: RemoteShard) -> Path:
        """Return the local file of a shard, which is fetched where it isn't there.

        Another process's need for room may delete it again before it is opened: then ask once more.

        Raises:
            LightDepthError: the shard can't be had (see `remote.download`), is larger than the cache, or the folder
                can't be written.
        """
        path, size_bytes = self.path_of(shard), shard.size_bytes
        if _is_whole(path, size_bytes):
            return path
        if size_bytes > self.limit_bytes:
            raise LightDepthError(
                f"{shard} has {size_bytes / 1e9:.2f} GB and the cache in {self.folder} only "
                f"{self.limit_bytes / 1e9:g}; allow it more."
            )
        try:
            make_folder(self.folder)
        except LightDepthError as error:
            raise LightDepthError(
                f"No cache for {shard}: {error} Its folder is a training's shard_cache, or lies in XDG_CACHE_HOME."
            ) from error
        part = path.with_suffix(".part")
        with _lock(part):
            if _is_whole(path, size_bytes):
                return path
            until, fault = _faults.get(shard.sha256, (0.0, ""))
            begun = time.monotonic()
            if begun < until:
                raise LightDepthError(fault)
            try:
                self._reserve(part, size_bytes)
                download(shard.url, part, size_bytes=size_bytes, sha256=shard.sha256)
                part.replace(path)
            except LightDepthError as error:
                now = time.monotonic()
                _faults[shard.sha256] = now + (now - begun), str(error)
                raise
            finally:
                part.unlink(missing_ok=True)
        return path

    def _reserve(self, part: Path, size_bytes: int) -> None:
        """Make room for a file, and a file that takes it; waits where all room is taken by what others fetch."""
        while True:
            with _lock(self.folder / "room"):
                if self._make_room(size_bytes):
                    with part.open("wb") as file:
                        file.truncate(size_bytes)
                    return
            time.sleep(_POLL_S)

    def _make_room(self, size_bytes: int) -> bool:
        """Delete what killed processes left, then the shards unused for longest; tell whether there is room now."""
        from filelock import Timeout

        total, shards = size_bytes, []
        for path in self.folder.iterdir():
            try:
                state = path.stat()
            except FileNotFoundError:
                continue  # finished meanwhile, under another name
            if path.suffix == ".part":
                with suppress(Timeout), _lock(path, timeout_s=0):  # nobody fetches it
                    path.unlink(missing_ok=True)
                    continue
            total += state.st_size
            if path.suffix == ".bin":
                shards.append((state.st_mtime_ns, state.st_size, path))
        for _, size, path in sorted(shards):
            if total <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total <= self.limit_bytes


def _lock(path: Path, timeout_s: float = -1):  # noqa: ANN202  # filelock's, which isn't there at import
    """Lock what belongs to `path`; 256 lock files serve all shards, and stay."""
    from filelock import FileLock

    return FileLock(path.with_name(f"{path.stem[:2]}.lock"), timeout=timeout_s)


def _is_whole(path: Path, size_bytes: int) -> bool:
    """Tell whether a shard is there; it got its name when it was whole, and a file system may still have cut it."""
    try:
        return path.stat().st_size == size_bytes
    except (FileNotFoundError, NotADirectoryError):
        return False


@lru_cache(maxsize=256)
def _map(path: Path) -> NDArray[np.uint8]:
    """Map a shard once per process; nothing is read before it is used."""
    try:
        return np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise LightDepthError(f"Can't map {path} ({error}); run `lightdepth data pack` again.") from error
