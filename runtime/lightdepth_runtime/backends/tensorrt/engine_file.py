"""The JSON beside a TensorRT engine: whose network it holds, what built it, and on which GPUs it runs."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...atomic import write_bytes, write_json
from ...errors import LightDepthError
from ...spec import ModelSpec
from ..device_buffers import GpuInfo
from .module import FLAVOUR_NAMES, Flavour

__all__ = [
    "ENGINE_SCHEMA",
    "EngineMisfitError",
    "EngineSidecar",
    "build_command",
    "check_engine_fits",
    "check_same_network",
    "onnx_beside",
    "platform_name",
    "read_engine_sidecar",
    "read_plan",
    "sha256_of",
    "sidecar_path",
    "write_engine",
]

ENGINE_SCHEMA = "lightdepth.engine/1"
_MAGIC: dict[Flavour, bytes] = {"tensorrt": b"ftrt", "tensorrt_rtx": b"vtrt"}  # the first four bytes of a plan

_OLDEST_PORTABLE_SM = 80  # TensorRT-RTX without a list of GPUs builds for Ampere and later


class EngineMisfitError(LightDepthError):
    """An engine that can't be used here, and that a rebuild from its ONNX file would replace."""


@dataclass(frozen=True)
class EngineSidecar:
    """What is known of an engine.

    `compute_capabilities` are like "sm86"; none means every GPU from Ampere on (TensorRT-RTX). `gpu_name` is None where
    it was built without a GPU. Shapes are those of the input. `convolutions` counts them by precision. `self_test` is
    how far its metres were from ONNX Runtime's when it was built; empty where no GPU was there to run it.
    """

    spec: ModelSpec
    flavour: Flavour
    tensorrt_version: str
    gpu_name: str | None
    compute_capabilities: tuple[str, ...]
    platform: str
    onnx_file: str
    onnx_sha256: str
    plan_sha256: str
    plan_size_bytes: int
    precision: str
    min_shape: tuple[int, ...]
    opt_shape: tuple[int, ...]
    max_shape: tuple[int, ...]
    convolutions: Mapping[str, int] = field(default_factory=dict)
    other_precision_layers: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON values of the builder's options
    self_test: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON values
    lightdepth_version: str = "unknown"
    schema: str = ENGINE_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Return JSON's types, the schema first."""
        values = asdict(self)
        values["spec"] = json.loads(self.spec.to_json())
        return {"schema": values.pop("schema"), **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EngineSidecar:
        """Read what `to_dict` wrote; unknown keys of later versions are passed over.

        Raises:
            LightDepthError: another schema, or a field missing or of the wrong kind.
        """
        schema = values.get("schema") if isinstance(values, Mapping) else None
        if schema != ENGINE_SCHEMA:
            raise EngineMisfitError(f"its schema is {schema!r}, and this version reads {ENGINE_SCHEMA}")
        known = {key: values[key] for key in (f.name for f in fields(cls)) if key in values}
        try:
            known["spec"] = ModelSpec.from_json(json.dumps(known["spec"]))
            for key in ("compute_capabilities", "min_shape", "opt_shape", "max_shape", "other_precision_layers"):
                known[key] = tuple(known.get(key, ()))
            sidecar = cls(**known)
        except (KeyError, TypeError) as error:
            raise EngineMisfitError(f"a field is missing or wrong: {error}") from error
        if sidecar.flavour not in _MAGIC:
            raise EngineMisfitError(f"its flavour is {sidecar.flavour!r}, not {' or '.join(_MAGIC)}")
        return sidecar


def sidecar_path(engine: Path) -> Path:
    """Return where the JSON of an engine stands."""
    return engine.with_name(engine.name + ".json")


def write_engine(engine: Path, plan: bytes, sidecar: EngineSidecar) -> None:
    """Write a plan and then its JSON; a reader between the two finds hashes that don't match, never a wrong engine."""
    write_bytes(engine, plan)
    write_json(sidecar_path(engine), sidecar.to_dict())


def read_engine_sidecar(engine: Path) -> EngineSidecar:
    """Read the JSON beside an engine.

    Raises:
        EngineMisfitError: missing, damaged, or of another schema.
    """
    path = sidecar_path(engine)
    try:
        return EngineSidecar.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        reason = f"{path.name} is missing beside it, and an engine alone doesn't say what its input and unit are"
        raise _misfit(engine, reason) from error
    except (OSError, ValueError, LightDepthError) as error:
        raise _misfit(engine, f"{path.name} can't be read ({error})") from error


def read_plan(engine: Path, sidecar: EngineSidecar) -> bytes:
    """Read an engine's bytes, and make sure they are the ones that its JSON describes.

    Raises:
        EngineMisfitError: truncated, changed, or no plan of this flavour.
    """
    try:
        plan = engine.read_bytes()
    except OSError as error:
        raise LightDepthError(f"Can't read {engine}: {error.strerror or error}.") from error
    for flavour, magic in _MAGIC.items():
        if plan.startswith(magic) and flavour != sidecar.flavour:
            raise _misfit(
                engine, f"it holds a {FLAVOUR_NAMES[flavour]} plan, and its JSON says {FLAVOUR_NAMES[sidecar.flavour]}"
            )
    if len(plan) != sidecar.plan_size_bytes:
        raise _misfit(engine, f"it has {len(plan)} bytes of {sidecar.plan_size_bytes}: the file is incomplete or mixed")
    if sha256_of(plan) != sidecar.plan_sha256:
        raise _misfit(engine, "its SHA-256 is not the one in its JSON: the file was changed after it was built")
    if sidecar.flavour == "tensorrt_rtx" and not plan.startswith(_MAGIC["tensorrt_rtx"]):
        raise _misfit(engine, f"it begins with {plan[:4]!r}, which no TensorRT-RTX plan does")
    return plan


def build_command(onnx: Path) -> str:
    """Return what builds the engine of an ONNX file, to be copied into a shell."""
    return f"python -m lightdepth_export.engine {shlex.quote(str(onnx))}"


def onnx_beside(engine: Path, sidecar: EngineSidecar) -> Path:
    """Return the ONNX file that an engine is held against and built again from; it may be missing.

    It is the one that the JSON names, or that of the engine's own name where both were renamed together.
    """
    named = engine.with_name(sidecar.onnx_file)
    return named if named.is_file() else engine.with_suffix(".onnx")


def check_same_network(engine: Path, sidecar: EngineSidecar, onnx: Path | None = None) -> None:
    """Refuse an engine whose ONNX file was exported again, or changed, since it was built.

    Args:
        engine: its path.
        sidecar: the JSON beside it.
        onnx: the file that the engine is opened for; None takes `onnx_beside`. An engine that was deployed alone is not
            held against anything.

    Raises:
        EngineMisfitError: the file holds another network, or another calibration.
    """
    onnx = onnx or onnx_beside(engine, sidecar)
    try:
        content = onnx.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise LightDepthError(f"Can't read {onnx}: {error.strerror or error}.") from error
    if sha256_of(content) != sidecar.onnx_sha256:
        reason = f"it is older than {onnx.name} beside it: it was built from a file of another SHA-256"
        raise _misfit(engine, reason, onnx)


def check_engine_fits(engine: Path, sidecar: EngineSidecar, *, flavour: Flavour, version: str, gpu: GpuInfo) -> None:
    """Refuse an engine that another TensorRT, platform or GPU built, since it would fail or run slower here.

    Raises:
        EngineMisfitError: it doesn't fit; says why.
    """
    reason = _why_unfit(sidecar, flavour, version, gpu)
    if reason is not None:
        raise _misfit(engine, reason, onnx_beside(engine, sidecar))


def _why_unfit(sidecar: EngineSidecar, flavour: Flavour, version: str, gpu: GpuInfo) -> str | None:
    if sidecar.flavour != flavour:
        return f"it was built by {FLAVOUR_NAMES[sidecar.flavour]}, and this is {FLAVOUR_NAMES[flavour]}"
    if sidecar.tensorrt_version != version:
        made, here = f"{FLAVOUR_NAMES[flavour]} {sidecar.tensorrt_version}", version
        return f"it was built by {made}, and {here} is installed here"
    if sidecar.platform != platform_name():
        return f"it was built on {sidecar.platform}, and this is {platform_name()}"
    here = gpu.compute_capability
    if sidecar.compute_capabilities and here not in sidecar.compute_capabilities:
        return f"it was built for {', '.join(sidecar.compute_capabilities)}, and {gpu.name} is {here}"
    if not sidecar.compute_capabilities and int(here.removeprefix("sm")) < _OLDEST_PORTABLE_SM:
        return f"it was built for sm{_OLDEST_PORTABLE_SM} and later, and {gpu.name} is {here}"
    if flavour == "tensorrt" and sidecar.gpu_name != gpu.name:
        return f"it was tuned on {sidecar.gpu_name}, and this is {gpu.name}"
    return None


def platform_name() -> str:
    """Return what a plan depends on besides the GPU, like "linux-aarch64"."""
    return f"{platform.system()}-{platform.machine()}".lower()


def sha256_of(content: bytes) -> str:
    """Return the hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def _misfit(engine: Path, reason: str, onnx: Path | None = None) -> EngineMisfitError:
    own = engine.with_suffix(".onnx")
    command = build_command(onnx or own) + ("" if onnx in (None, own) else f" -o {shlex.quote(str(engine))}")
    return EngineMisfitError(f"{engine} can't be used: {reason}. Build it here with: {command}")
