"""What a run was made with: versions, commit, machine, and a fingerprint of its data."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine, package_versions
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import Pair, PairSet
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.pairs.packed import PackedPair

from ..data.extra import plain_pair
from ..data.unlabelled import UnlabelledImage

__all__ = ["DataRecord", "RunRecord", "fingerprint", "read_record", "record_run", "source_commit"]

SCHEMA = "lightdepth.run/1"
PACKAGES = ("accelerate", "numpy", "opencv-python-headless", "timm", "torch")


@dataclass(frozen=True)
class DataRecord:
    """The pairs of one split: where from, how many, and a SHA-256 over their names and file sizes."""

    root: str
    packaging: str
    pairs: int
    fingerprint: str


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder's `run.json`."""

    lightdepth_version: str
    source_commit: str
    packages: dict[str, str]
    machine: str
    processes: int
    effective_batch: int
    training: DataRecord
    validation: DataRecord | None
    teacher: str | None = None  # SHA-256

    def write(self, path: Path) -> None:
        """Write `run.json` atomically."""
        write_json(path, {"schema": SCHEMA, **asdict(self)})

    def check_same_data(self, old: RunRecord, say: Callable[[str], object]) -> None:
        """Refuse to go on with other pairs or another teacher than at first; a changed launch or version is said.

        Raises:
            LightDepthError: pairs were added, removed, renamed, reordered or replaced, or the teacher was.
        """
        for what, then, now in (
            ("training", old.training, self.training),
            ("validation", old.validation, self.validation),
        ):
            if (then and then.fingerprint) != (now and now.fingerprint):
                raise LightDepthError(
                    f"The {what} pairs are not those this run began with ({_count(then)} then, {_count(now)} now, or "
                    "other names or file sizes); restore them, or start a new run in another --output."
                )
        if old.teacher != self.teacher:
            raise LightDepthError(
                "The teacher is not the one that this run began with; put its file back, or start a new run in another "
                "--output."
            )
        if old.effective_batch != self.effective_batch:
            say(
                f"Effective batch {self.effective_batch} in {self.processes} processes, {old.effective_batch} in "
                f"{old.processes} before: the result will differ from an uninterrupted run's."
            )
        if old.packages != self.packages or old.source_commit != self.source_commit:
            say("Versions differ from those this run began with: the result may differ in its last digits.")


def record_run(
    training: PairSet,
    validation: PairSet | None,
    *,
    processes: int,
    effective_batch: int,
    teacher: str | None = None,
) -> RunRecord:
    """Describe a run that is about to start."""
    return RunRecord(
        lightdepth_version=__version__,
        source_commit=source_commit(),
        packages=package_versions(PACKAGES),
        machine=describe_machine().describe(),
        processes=processes,
        effective_batch=effective_batch,
        training=_describe(training),
        validation=_describe(validation) if validation is not None else None,
        teacher=teacher,
    )


def read_record(path: Path) -> RunRecord | None:
    """Read `run.json`; None where a run from before there was one has none.

    Raises:
        LightDepthError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        values.pop("schema")
        for split in ("training", "validation"):
            values[split] = DataRecord(**values[split]) if values[split] else None
        return RunRecord(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LightDepthError(f"{path} is no run's record ({error}); delete it to go on without one.") from error


def fingerprint(pairs: PairSet) -> str:
    """Return a SHA-256 over the names, order and file sizes of pairs: seconds where their content would take hours.

    A packed pair's shard has a checksum already, which stands for it.

    Files' names count from the folder that they have in common, so that the same files at another place are the same
    pairs.
    """
    digest = hashlib.sha256()
    for pair, (name, scene) in zip(pairs.pairs, _names(pairs.pairs), strict=True):
        digest.update(f"{name}\t{scene}\t{_content(pair)}\n".encode())
    return digest.hexdigest()


def _content(pair: Pair) -> list[int] | str:
    """Return what tells a pair's content from another's."""
    pair = plain_pair(pair)
    if isinstance(pair, PackedPair):
        return pair.shard.sha256
    return [os.stat(path).st_size for path in (pair.color_file, pair.depth_file)] if isinstance(pair, FilePair) else []


def _names(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Return name and scene of each pair; a file's name begins after the folder that all of its kind lie in.

    Images without depth and further sets are kinds of their own: they may move without the others.
    """
    files = [_file_of(pair) for pair in pairs]
    folders: dict[type[Pair], set[str]] = {}
    for pair, file in zip(pairs, files, strict=True):
        if file is not None:
            folders.setdefault(type(pair), set()).add(os.path.dirname(file))
    starts = {kind: len(os.path.commonpath(found)) for kind, found in folders.items()}
    return [
        (pair.name, pair.scene) if file is None else (file[starts[type(pair)] :].lstrip(os.sep), "")
        for pair, file in zip(pairs, files, strict=True)
    ]


def _file_of(pair: Pair) -> str | None:
    """Return the absolute path of a pair's image, or None where it lies in a file with others."""
    pair = plain_pair(pair)
    if isinstance(pair, FilePair):
        return os.path.abspath(pair.color_file)
    return os.path.abspath(pair.path) if isinstance(pair, UnlabelledImage) else None


def _describe(pairs: PairSet) -> DataRecord:
    return DataRecord(pairs.name, pairs.packaging, len(pairs), fingerprint(pairs))


def _count(record: DataRecord | None) -> int:
    return record.pairs if record else 0


def source_commit() -> str:
    """Return the git commit of the checkout this package runs from, or the released version where it is installed."""
    here = Path(__file__).parents[1]
    if not (here.parent / ".git").exists():
        return f"lightdepth {__version__}"
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"lightdepth {__version__} (git not readable)"
