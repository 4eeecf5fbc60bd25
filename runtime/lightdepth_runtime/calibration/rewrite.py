"""Write a copy of a model file that differs in its ModelSpec alone, with numpy and the standard library.

The network's bytes are copied as they are: no ONNX, safetensors or TensorRT package takes part.
"""

import json
from dataclasses import replace
from pathlib import Path

from ..atomic import write_bytes
from ..backends.onnx.file import LENGTH_DELIMITED, METADATA_PROPS, fields_of
from ..backends.tensorrt.engine_file import read_engine_sidecar, read_plan, write_engine
from ..errors import LightDepthError
from ..images.decode import read_bytes
from ..spec import SPEC_KEY, ModelSpec

__all__ = ["copy_with_spec"]

_ENTRY_KEY, _ENTRY_VALUE = 1, 2  # of StringStringEntryProto
_SAFETENSORS_ALIGNMENT = 8  # tensors begin at a multiple of it


def copy_with_spec(source: Path, target: Path, spec: ModelSpec) -> None:
    """Write `source` to `target` with another spec, atomically; both may be the same file.

    Args:
        source: `.onnx`, `.safetensors`, or `.engine` with its JSON beside it.
        target: of the same suffix.
        spec: takes the place of the one in the file.

    Raises:
        LightDepthError: another type, a damaged file, suffixes that differ, or the target can't be written.
    """
    suffix = source.suffix.lower()
    if target.suffix.lower() != suffix:
        raise LightDepthError(f"The copy of {source.name} must end in {suffix} as well, got {target.name}.")
    if suffix == ".onnx":
        write_bytes(target, _onnx_with_spec(read_bytes(source), source, spec))
    elif suffix == ".safetensors":
        write_bytes(target, _safetensors_with_spec(read_bytes(source), source, spec))
    elif suffix == ".engine":
        sidecar = read_engine_sidecar(source)
        write_engine(target, read_plan(source, sidecar), replace(sidecar, spec=spec))
    else:
        raise LightDepthError(f"The spec of {source.name} can't be changed; that needs .onnx, .engine or .safetensors.")


def _onnx_with_spec(content: bytes, path: Path, spec: ModelSpec) -> bytes:
    """Drop the metadata entry of the spec from a serialized ModelProto and append the new one."""
    wanted = SPEC_KEY.encode()
    try:
        kept = [
            content[start:end]
            for number, start, body, end in fields_of(content)
            if not (number == METADATA_PROPS and _entry_key(content[body:end]) == wanted)
        ]
    except (IndexError, ValueError) as error:
        raise LightDepthError(f"{path} is damaged or not an ONNX file; export it again.") from error
    entry = _field(_ENTRY_KEY, wanted) + _field(_ENTRY_VALUE, spec.to_json().encode())
    return b"".join([*kept, _field(METADATA_PROPS, entry)])


def _entry_key(entry: bytes) -> bytes | None:
    return next((entry[body:end] for number, _, body, end in fields_of(entry) if number == _ENTRY_KEY), None)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _safetensors_with_spec(content: bytes, path: Path, spec: ModelSpec) -> bytes:
    """Replace the spec in the header: 8 bytes of length, then JSON; tensors stand at offsets from the header's end."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        header["__metadata__"] = {**header.get("__metadata__", {}), SPEC_KEY: spec.to_json()}
    except (ValueError, TypeError, AttributeError) as error:
        raise LightDepthError(f"{path} is damaged or not a safetensors file; train or export it again.") from error
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SAFETENSORS_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
