"""Everything that only a machine with an NVIDIA GPU can show, by one command, in at most eight minutes.

    python benchmarks/gpu_check.py --output gpu_check

It writes `gpu_check.json` and `gpu_check.md` to send back; nothing is downloaded, and random weights stand where only
speed counts. Parts: environment, tests (`pytest -m gpu`), training (images/s), precision (FP16 and INT8 for real
against their simulation), engine (TensorRT or TensorRT-RTX with self-test), latency (with percentiles and power), call
(a whole call from a 640x480 frame), options (ONNX Runtime's own, for convolutions). Each runs in a process of its own:
where something is missing or fails, the others go on and the page says so. `--part latency,call` runs some of them.
`--smoke` runs all on the CPU at small sizes, to try this program: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpu_check_page import write_page

from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json

SCHEMA = "lightdepth.gpu_check/1"
# The share of the time that a part may take; one that ends sooner leaves the rest to those after it.
PARTS = {
    "environment": 0.05,
    "files": 0.35,  # networks exported for the parts below
    "latency": 0.35,
    "call": 0.15,
    "options": 0.15,
    "engine": 0.25,
    "precision": 0.2,
    "training": 0.4,
    "tests": 0.6,
}
NEED_FILES = {"latency", "call", "options", "engine"}
LEAST_S = 20.0  # less is not begun with


def main() -> None:
    """Run the parts that are asked for, and write what they found as it comes."""
    given = _parse()
    output: Path = given.output
    output.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * given.minutes
    result: dict[str, Any] = {  # Any: JSON values
        "schema": SCHEMA,
        "lightdepth_version": __version__,
        "command": "python benchmarks/gpu_check.py " + " ".join(sys.argv[1:]),
        "smoke": given.smoke,
        "parts": {},
    }
    with tempfile.TemporaryDirectory(prefix="lightdepth-") as scratch:
        files = given.files or Path(scratch) / "files"
        files.mkdir(parents=True, exist_ok=True)
        for name in _in_order(given.part, has_files=any(files.glob("*.onnx"))):
            left_s = deadline - time.monotonic()
            limit_s = min(left_s, 60 * given.minutes * PARTS[name] + LEAST_S)
            print(f"{name}: at most {limit_s:.0f} s", flush=True)
            result["parts"][name] = _run(name, files, limit_s, smoke=given.smoke, log=output / f"{name}.log")
            print(f"{name}: {result['parts'][name]['status']}", flush=True)
            write_json(output / "gpu_check.json", result)
            write_page(output / "gpu_check.md", result)
    print(f"Wrote {output / 'gpu_check.json'} and {output / 'gpu_check.md'}")


def _in_order(parts: list[str], *, has_files: bool) -> list[str]:
    """Sort the parts as they build on each other; `files` comes to those that need it where there are none yet."""
    wanted = {*parts, *({"files"} if NEED_FILES.intersection(parts) and not has_files else ())}
    return [name for name in PARTS if name in wanted]


def _run(name: str, files: Path, limit_s: float, *, smoke: bool, log: Path) -> dict[str, Any]:  # Any: JSON values
    """Run one part in a process of its own, which a crash of a driver or library ends alone."""
    if limit_s < LEAST_S:
        return {"status": "left out: the time is up; raise --minutes, or name it with --part"}
    found = files / f"{name}.json"
    found.unlink(missing_ok=True)
    program = ["gpu_check_training.py"] if name == "training" else ["gpu_check_parts.py", name]
    program[0] = str(Path(__file__).with_name(program[0]))
    command = [sys.executable, *program, str(files), str(found)]
    started = time.monotonic()
    arguments = [*command, "--seconds", f"{limit_s - 5:.0f}", *(["--smoke"] if smoke else [])]
    with log.open("w", encoding="utf-8") as stream:
        part = subprocess.Popen(arguments, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = part.wait(limit_s)
            status = "done" if code == 0 else f"failed with exit code {code}: {_last_line(log)}"
        except subprocess.TimeoutExpired:
            status = f"stopped after {limit_s:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # what it started too, which would keep the GPU busy
                os.killpg(part.pid, signal.SIGKILL)
            part.wait()
    values = json.loads(found.read_text(encoding="utf-8")) if found.is_file() else {}
    return {"status": status, "seconds": round(time.monotonic() - started, 1), **values}


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu_check"), help="folder to write to")
    parser.add_argument("--minutes", type=float, default=8.0, help="time limit of all parts together; default: 8")
    parser.add_argument("--part", type=_parts, default=list(PARTS), metavar="NAME[,NAME]", help=", ".join(PARTS))
    parser.add_argument("--files", type=Path, help="folder that keeps the exported networks; default: a temporary one")
    parser.add_argument("--smoke", action="store_true", help="all parts on the CPU, small: a test of this program")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    main()
