"""Files at a URL (s3://, gs://, hf://, https:// ...), which fsspec reads: tried again where that may help, then named.

Credentials and endpoints are those that fsspec's libraries find themselves, as in AWS_ENDPOINT_URL or ~/.aws.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ..atomic import sha256_of_file
from ..errors import LightDepthError

__all__ = ["download", "read_files", "url_of"]

Result = TypeVar("Result")

# The folder's own name may lack a slash: `Path` folds two into one. One letter is a drive of Windows.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}([^/].*)", re.IGNORECASE)
_PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
}
_TRIES = 5
_FIRST_WAIT_S = 1.0  # before the second try, and twice as long before each one after it
_AT_ONCE = 32  # small files that are asked for together: most of the time they take is the way there and back
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSALS = {401, 403}  # of HTTP, as aiohttp's errors carry it
_SHOWN_DIGITS = 12  # of a SHA-256 in an error


class _DamagedError(Exception):
    """A file came, but not the one that the index describes."""


def url_of(path: Path | str) -> str | None:
    """Return the URL that a path stands for, without a slash at its end, or None for a local path."""
    match = _URL.fullmatch(str(path))
    if match is None or Path(path).exists():
        return None
    return f"{match[1].lower()}://{match[2].rstrip('/')}"


def read_files(urls: Sequence[str]) -> Iterator[bytes]:
    """Yield the content of small files, in order, many asked for at once.

    Raises:
        LightDepthError: see `download`.
    """
    if not urls:
        return
    system, _ = _open(urls[0])
    with ThreadPoolExecutor(min(_AT_ONCE, len(urls))) as pool:
        yield from pool.map(lambda url: _try(lambda: system.cat_file(_open(url)[1]), url), urls)


def download(url: str, path: Path, *, size_bytes: int, sha256: str) -> None:
    """Write a file at a URL to `path`, and see that it is the one that was asked for.

    Raises:
        LightDepthError: a missing package, no such file, no permission, no room, no whole file after five tries, or
            another content than the checksum says.
    """
    system, place = _open(url)

    def fetch() -> None:
        try:
            system.get_file(place, str(path))
        except OSError as error:
            if error.errno in _FULL:
                raise LightDepthError(
                    f"No room for {url} in {path.parent} ({error.strerror}); free some, or allow the cache less."
                ) from error
            raise
        if path.stat().st_size != size_bytes:
            raise _DamagedError(f"{path.stat().st_size} bytes came instead of {size_bytes}")
        if (digest := sha256_of_file(path)) != sha256:
            raise _DamagedError(f"its SHA-256 is {digest[:_SHOWN_DIGITS]}... instead of {sha256[:_SHOWN_DIGITS]}...")

    _try(fetch, url)


def _open(url: str) -> tuple[Any, str]:  # Any: fsspec's file systems have no types
    """Return the file system of a URL, and the URL as it takes it."""
    scheme = url.partition(":")[0]
    try:
        import filelock  # noqa: F401  # of the cache
        from fsspec.core import url_to_fs

        return url_to_fs(url)
    except ImportError as error:
        packages = " ".join(dict.fromkeys(["fsspec", "filelock", _PACKAGES.get(scheme, "")])).strip()
        raise LightDepthError(
            f"{url} can't be read without more packages; install them with: pip install {packages}"
        ) from error
    except ValueError as error:
        raise LightDepthError(f"Can't read {url}: {error}. Give s3://, gs://, hf:// or https://.") from error


def _try(work: Callable[[], Result], url: str) -> Result:
    """Call `work` up to five times, with growing waits between; what can't change is not waited for."""
    number = 0
    while True:
        number += 1
        try:
            return work()
        except LightDepthError:
            raise
        except FileNotFoundError as error:
            raise LightDepthError(
                f"There is no {url}; from a URL only what `lightdepth data pack` wrote is read: upload that folder "
                "whole, then run this again."
            ) from error
        except Exception as error:  # each library has kinds of its own for time-outs and broken connections
            if isinstance(error, PermissionError) or getattr(error, "status", None) in _REFUSALS:
                raise LightDepthError(f"{url} may not be read ({_say(error)}); check the credentials.") from error
            if "credential" in type(error).__name__.lower():  # botocore's NoCredentialsError, Google's
                raise LightDepthError(
                    f"{url} can't be read ({_say(error)}); give credentials as AWS's and fsspec's own tools find them, "
                    "AWS_ACCESS_KEY_ID or ~/.aws for s3://."
                ) from error
            if number == _TRIES:
                raise _given_up(url, error) from error
            time.sleep(_FIRST_WAIT_S * 2 ** (number - 1))


def _given_up(url: str, error: Exception) -> LightDepthError:
    """Return what is said of a URL after the last try."""
    if isinstance(error, _DamagedError):
        return LightDepthError(
            f"{url} is not the file that its index describes, in {_TRIES} tries: {error}. It was changed or cut; "
            "upload the packed folder whole, then run this again (a training with --resume)."
        )
    return LightDepthError(
        f"Can't read {url} in {_TRIES} tries ({_say(error)}); check network, endpoint and credentials, then run this "
        "again (a training with --resume)."
    )


def _say(error: Exception) -> str:
    """Return an error's kind and words in one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:200]
