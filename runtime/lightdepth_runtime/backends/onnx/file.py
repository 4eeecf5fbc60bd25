"""Read the fields of an ONNX file, which is a Protocol Buffers message, with the standard library alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["LENGTH_DELIMITED", "METADATA_PROPS", "OnnxVersions", "fields_of", "onnx_versions"]

# A field begins with (number << 3 | wire type); the numbers of ModelProto's and OperatorSetIdProto's are onnx.proto's.
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
IR_VERSION, OPSET_IMPORT, METADATA_PROPS = 1, 8, 14
_DOMAIN, _VERSION = 1, 2


class OnnxVersions(NamedTuple):
    """What an ONNX file needs of whoever reads it: the format's version, and that of the operators."""

    ir: int
    opset: int


def onnx_versions(path: Path) -> OnnxVersions | None:
    """Return the versions of an ONNX file; None where it can't be read as one."""
    ir = opset = 0
    try:
        content = path.read_bytes()
        for number, _, body, end in fields_of(content):
            if number == IR_VERSION:
                ir = _read_varint(content, body)[0]
            elif number == OPSET_IMPORT:
                entry = content[body:end]
                values = {field: entry[at:to] for field, _, at, to in fields_of(entry)}
                if not values.get(_DOMAIN) and _VERSION in values:  # the standard operators have no domain
                    opset = _read_varint(values[_VERSION], 0)[0]
    except (OSError, IndexError, ValueError):
        return None
    return OnnxVersions(ir, opset) if ir else None


def fields_of(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Walk a message's fields: number, where the field starts, where its content starts, where it ends."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        body = position
        if wire_type == VARINT:
            _, position = _read_varint(message, position)
        elif wire_type == LENGTH_DELIMITED:
            length, body = _read_varint(message, position)
            position = body + length
        elif wire_type in (FIXED32, FIXED64):
            position += 4 if wire_type == FIXED32 else 8
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
