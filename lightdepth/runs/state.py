"""A run's training states: written whole, checked by SHA-256, and the one before where the newest is damaged."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError

from lightdepth_runtime.atomic import sha256_of_file
from lightdepth_runtime.errors import LightDepthError, first_line

__all__ = ["KEPT_STATES", "Stateful", "load_state", "save_state", "saved_states"]

KEPT_STATES = 2
CHECKSUMS = "sha256.json"


class Stateful(Protocol):
    """Something whose state can be saved and taken back."""

    def state_dict(self) -> Mapping[str, Any]:  # Any: tensors, numbers and text
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: Any) -> object:  # Any: what `state_dict` returned
        """Take a saved state."""
        ...


def saved_states(folder: Path) -> list[Path]:
    """Return the saved training states, oldest first."""
    return sorted(folder.glob("epoch-*"))


def save_state(folder: Path, accelerator: Accelerator, epoch: int, parts: Mapping[str, Stateful]) -> None:
    """Save model, optimiser, scaler, random generators and `parts` under a temporary name, then rename.

    Whatever goes wrong, the states before stay as they are.

    Raises:
        LightDepthError: the state can't be written.
    """
    final = folder / f"epoch-{epoch:04d}"
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        accelerator.save_state(str(temporary))
        if accelerator.is_main_process:
            for name, part in parts.items():
                torch.save(part.state_dict(), temporary / f"{name}.pt")
        if accelerator.num_processes > 1:  # not Accelerate's barrier, which names a GPU even where CPUs train
            gather_object([None])
        if accelerator.is_main_process:
            _write_checksums(temporary)
            if final.exists():  # damaged: the run went on from the one before
                shutil.rmtree(final)
            temporary.rename(final)
            for old in saved_states(folder)[:-KEPT_STATES]:
                shutil.rmtree(old)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer raises RuntimeError on a full disk
        if accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)  # gives the space back
        raise LightDepthError(
            f"Can't save the training state {final} ({first_line(error)}); free some space and --resume."
        ) from error


def load_state(
    folder: Path, accelerator: Accelerator, parts: Mapping[str, Stateful], say: Callable[[str], object]
) -> bool:
    """Take the newest whole state; return False where no epoch was finished.

    A damaged one is named and the one before it taken. The parts are read here: Accelerate's
    `register_for_checkpointing` would unpickle code.

    Raises:
        LightDepthError: there are states, but none that can be read.
    """
    if accelerator.is_main_process:
        for path in folder.glob(".epoch-*.tmp"):  # what an interrupted `save_state` left
            shutil.rmtree(path, ignore_errors=True)
    states = saved_states(folder)
    if not states:
        return False
    faults: list[str] = []
    for state in reversed(states):
        try:
            _check(state)
            accelerator.load_state(str(state))
            for name, part in parts.items():
                part.load_state_dict(torch.load(state / f"{name}.pt", map_location="cpu", weights_only=True))
        except Exception as error:  # torch, zipfile, pickle and safetensors each raise their own
            faults.append(f"{state} can't be read ({first_line(error)})")
            continue
        if faults:
            say(f"The training state {'; '.join(faults)}; going on from {state.name}, the one before.")
        return True
    raise LightDepthError(
        f"The training state {'; '.join(faults)}; delete {folder} and --resume again to train from the beginning."
    )


def _write_checksums(state: Path) -> None:
    """Note each file's SHA-256, and have all of them on the disk before the state gets its name."""
    digests = {}
    for path in sorted(state.iterdir()):
        digests[path.name] = sha256_of_file(path)
        _flush(path)
    checksums = state / CHECKSUMS
    checksums.write_text(json.dumps(digests, indent=2) + "\n")
    _flush(checksums)
    _flush(state)


def _check(state: Path) -> None:
    """Compare a state with its checksums; one from before there were any is taken as it is."""
    checksums = state / CHECKSUMS
    if not checksums.exists():
        return
    for name, digest in json.loads(checksums.read_text()).items():
        if sha256_of_file(state / name) != digest:
            raise ValueError(f"{name} is damaged: its SHA-256 is not the saved one")


def _flush(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk; not every file system does that for folders."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
