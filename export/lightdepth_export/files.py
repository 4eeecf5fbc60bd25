"""The files of an export: all of them or none, and none left of an earlier one."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightdepth_runtime.atomic import hidden_path, make_folder, naming_output
from lightdepth_runtime.backends.tensorrt.engine_file import (
    EngineMisfitError,
    check_same_network,
    read_engine_sidecar,
    sidecar_path,
)

__all__ = ["all_or_nothing", "remove_stale_forms"]


def remove_stale_forms(output: Path, written: list[str], say: Callable[[str], None]) -> None:
    """Remove forms of an earlier export that this one did not make: beside the new file they'd pass for its own.

    An engine stays where the ONNX file that it was built from came out the same.
    """
    for precision in ("", ".fp16", ".int8", ".int8.cpu"):
        for frame in ("", ".frame"):
            onnx_path = output.with_name(f"{output.stem}{precision}{frame}.onnx")
            engine = onnx_path.with_suffix(".engine")
            stale = [] if onnx_path.name in written else [onnx_path]
            if engine.name not in written and (stale or not _is_built_from(engine, onnx_path)):
                stale += [engine, sidecar_path(engine)]
            for path in stale:
                if path.is_file():
                    path.unlink()
                    say(f"Removed {path}, a form of an earlier export")


def _is_built_from(engine: Path, onnx_path: Path) -> bool:
    try:
        check_same_network(engine, read_engine_sidecar(engine), onnx_path)
    except EngineMisfitError:
        return False
    return True


@contextmanager
def all_or_nothing(output: Path) -> Iterator[Path]:
    """Yield a folder beside the output; move what it holds to its place on success, delete it on any error."""
    parent = make_folder(output.parent)
    folder = hidden_path(parent / output.stem)
    try:
        with naming_output(output, folder):
            folder.mkdir()
            yield folder
            for path in sorted(folder.iterdir()):
                path.replace(parent / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
