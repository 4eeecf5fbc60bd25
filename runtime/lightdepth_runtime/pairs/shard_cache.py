"""A folder of bounded size for shards that were fetched from a URL; many processes may use it at once."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..atomic import make_folder
from ..errors import LightDepthError
from .remote import download

__all__ = ["DEFAULT_CACHE_GB", "ShardCache"]

DEFAULT_CACHE_GB = 32.0
_POLL_S = 0.05
# Of shards that could not be had, by SHA-256: why, and until when that is the answer, for as long again as the tries
# took. Else threads and pairs that want the same shard would wait for it one after another.
_faults: dict[str, tuple[float, str]] = {}


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

    def fetch(self, url: str, *, size_bytes: int, sha256: str) -> Path:
        """Return the local file of a shard, which is fetched where it isn't there.

        Another process's need for room may delete it again before it is opened: then ask once more.

        Raises:
            LightDepthError: the shard can't be had (see `remote.download`), is larger than the cache, or the folder
                can't be written.
        """
        path = self.folder / f"{sha256}.bin"
        if _is_whole(path, size_bytes):
            return path
        if size_bytes > self.limit_bytes:
            raise LightDepthError(
                f"{url} has {size_bytes / 1e9:.2f} GB and the cache in {self.folder} only {self.limit_bytes / 1e9:g}; "
                "allow it more."
            )
        try:
            make_folder(self.folder)
        except LightDepthError as error:
            raise LightDepthError(
                f"No cache for {url}: {error} Its folder is a training's shard_cache, or lies in XDG_CACHE_HOME."
            ) from error
        part = path.with_suffix(".part")
        with _lock(part):
            if _is_whole(path, size_bytes):
                return path
            until, fault = _faults.get(sha256, (0.0, ""))
            begun = time.monotonic()
            if begun < until:
                raise LightDepthError(fault)
            try:
                self._reserve(part, size_bytes)
                download(url, part, size_bytes=size_bytes, sha256=sha256)
                part.replace(path)
            except LightDepthError as error:
                now = time.monotonic()
                _faults[sha256] = now + (now - begun), str(error)
                raise
            finally:
                part.unlink(missing_ok=True)
        return path

    def touch(self, sha256: str) -> None:
        """Note that a shard is wanted, so that others go before it."""
        try:
            os.utime(self.folder / f"{sha256}.bin")
        except OSError:
            return  # it isn't there yet, or not any more, or is another user's

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
