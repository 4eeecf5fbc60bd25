"""A shard of packed pairs: on this machine, or at a URL and fetched through the cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from .shard_cache import ShardCache

__all__ = ["LocalShard", "RemoteShard", "Shard"]


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
        return self.cache.fetch(self.url, size_bytes=self.size_bytes, sha256=self.sha256)

    def touch(self) -> None:
        """Note that it is wanted."""
        self.cache.touch(self.sha256)

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


@lru_cache(maxsize=256)
def _map(path: Path) -> NDArray[np.uint8]:
    """Map a shard once per process; nothing is read before it is used."""
    try:
        return np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise LightDepthError(f"Can't map {path} ({error}); run `lightdepth data pack` again.") from error
