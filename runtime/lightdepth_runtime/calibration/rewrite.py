"""Write a copy of a model file that differs in its ModelSpec alone, with numpy and the standard library.

The network's bytes are copied as they are: no ONNX, safetensors or TensorRT package takes part.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..atomic import write_bytes
from ..backends.engine_file import read_engine_sidecar, read_plan, write_engine
from ..errors import LightDepthError
from ..images.decode import read_bytes
from ..spec import SPEC_KEY, ModelSpec

__all__ = ["copy_with_spec"]

# Protocol Buffers: a field begins with (number << 3 | wire type); ModelProto.metadata_props has number 14 (onnx.proto).
_METADATA_PROPS = 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2  # of StringStringEntryProto
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
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
            for number, start, body, end in _fields(content)
            if not (number == _METADATA_PROPS and _entry_key(content[body:end]) == wanted)
        ]
    except (IndexError, ValueError) as error:
        raise LightDepthError(f"{path} is damaged or not an ONNX file; export it again.") from error
    entry = _field(_ENTRY_KEY, wanted) + _field(_ENTRY_VALUE, spec.to_json().encode())
    return b"".join([*kept, _field(_METADATA_PROPS, entry)])


def _entry_key(entry: bytes) -> bytes | None:
    return next((entry[body:end] for number, _, body, end in _fields(entry) if number == _ENTRY_KEY), None)


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Walk a message's fields: number, where the field starts, where its content starts, where it ends."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        body = position
        if wire_type == _VARINT:
            _, position = _read_varint(message, position)
        elif wire_type == _LENGTH_DELIMITED:
            length, body = _read_varint(message, position)
            position = body + length
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire_type}")
        if number == 0 or position > len(message):
            raise ValueError("a field that doesn't fit")
        yield number, start, body, position


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a varint (7 bits a byte, lowest first, the top bit set on all but the last) and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


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
