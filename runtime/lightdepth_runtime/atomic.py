"""Write files so that a reader sees the old content or the whole new content, never a part; tell contents apart."""

import errno
import hashlib
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from .errors import LightDepthError

__all__ = [
    "atomic_path",
    "hidden_path",
    "make_folder",
    "naming_output",
    "result_folder",
    "sha256_of_file",
    "write_bytes",
    "write_json",
    "write_text",
]

_CHUNK_BYTES = 1 << 20
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


@contextmanager
def atomic_path(path: Path | str) -> Generator[Path, None, None]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on any error.

    The temporary name keeps the suffix, since many writers choose their format by it. A link is followed; a device or
    pipe (/dev/stdout) is written as it is.

    Raises:
        LightDepthError: the folder can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise LightDepthError(f"Can't write {path}: it is a folder. Choose another output path.")
    if path.exists() and not path.is_file():
        with naming_output(path, path):
            yield path
        return
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    temporary = hidden_path(path)
    try:  # before the file is there, so that an interrupt while it is created leaves none behind
        with naming_output(path, temporary):
            temporary.touch(exist_ok=False)
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def hidden_path(path: Path) -> Path:
    """Return a name beside `path` that begins with a dot and that no other file has, with the same suffix."""
    return path.with_name(f".{path.stem}.{os.urandom(4).hex()}{path.suffix}")


@contextmanager
def naming_output(path: Path, temporary: Path) -> Generator[None, None, None]:
    """Turn an error of writing to `temporary`, or into it, into one that names `path`.

    Other work within the block, like reaching a hub, raises OSErrors too, which pass: they have their own words.
    Writers name the file, or report what only disks do.

    Raises:
        LightDepthError: the error of writing.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            is_ours = error.errno in _DISK_ERRORS or " requested and " in str(error)  # the second is NumPy's
        else:
            names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
            is_ours = any(Path(name) == temporary or temporary in Path(name).parents for name in names)
        if not is_ours:
            raise
        raise _cannot_write(path, error) from error


def make_folder(path: Path | str) -> Path:
    """Create a folder and its parents; a folder that can't be created or written is a clear error."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise LightDepthError(f"Can't write into {path}: it is a file. Choose another output folder.") from error
    except OSError as error:
        raise _cannot_write(path, error) from error
    if not os.access(path, os.W_OK):
        raise LightDepthError(
            f"Can't write into {path}: permission denied, or a read-only disk. Choose another folder."
        )
    return path


@contextmanager
def result_folder(path: Path | str | None, name: str) -> Generator[Path, None, None]:
    """Yield a folder for results: `path`, or without one a new `output/NAME-N`, with the smallest N that is free.

    A numbered folder is created at once, so that two runs never share one. A folder that is new and stays empty is
    removed again.

    Raises:
        LightDepthError: the folder can't be written.
    """
    if path is None:
        parent = make_folder("output")
        folders = (parent / f"{name}-{number}" for number in count(1))
        folder, is_new = next(folder for folder in folders if _is_created(folder)), True
    else:
        folder, is_new = Path(path), not Path(path).exists()
    try:
        yield folder
    finally:
        if is_new:
            with suppress(OSError):  # not empty, which is what it is for, or never made
                folder.rmdir()


def _is_created(folder: Path) -> bool:
    with naming_output(folder, folder), suppress(FileExistsError):
        folder.mkdir()
        return True
    return False


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, content: str) -> None:
    """Write text atomically as UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path | str, content: Any) -> None:  # Any: whatever json.dumps takes
    """Write indented JSON atomically; NaN and infinity are refused, since they are not JSON."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _cannot_write(path: Path, error: OSError) -> LightDepthError:
    reason = error.strerror or str(error)
    return LightDepthError(f"Can't write {path}: {reason}. Choose another output path or free some space.")


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, which is read piece by piece (`hashlib.file_digest` needs 3.11)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while content := file.read(_CHUNK_BYTES):
            digest.update(content)
    return digest.hexdigest()
