"""Depth as compressed_depth_image_transport and librealsense record it: metres, whatever the form."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.ros import decode_depth
from lightdepth_runtime.ros.messages.rvl import decode_rvl

A, B = 100.0 * 101, 1 - 100.0 * 101 / 10  # the transport's parameters at its defaults: 100 steps, at most 10 m


@pytest.fixture
def depth_m(tum):
    return load_pairs(tum, "train").pairs[0].read().depth_m


def message(content, kind, parameters=(0.0, 0.0)):
    data = struct.pack("<iff", 0, *parameters) + content
    return SimpleNamespace(format=kind, data=np.frombuffer(data, np.uint8))


def png(values):
    return cv2.imencode(".png", values)[1].tobytes()


def encode_rvl(values):
    """Compress as the paper's program does, number after number."""
    nibbles = []

    def put(number):
        while True:
            digit, number = number & 7, number >> 3
            nibbles.append(digit | (8 if number else 0))
            if not number:
                return

    flat, place, last = [int(value) for value in values.ravel()], 0, 0
    while place < len(flat):
        zeros = next((n for n, value in enumerate(flat[place:]) if value), len(flat) - place)
        place += zeros
        readings = next((n for n, value in enumerate(flat[place:]) if not value), len(flat) - place)
        put(zeros)
        put(readings)
        for value in flat[place : place + readings]:
            change, last = value - last, value
            put((change << 1) ^ (change >> 31))
        place += readings
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack("<ii", values.shape[1], values.shape[0]) + struct.pack(f"<{len(words)}I", *words)


def test_rvl_is_decoded_without_loss(depth_m):
    millimetres = np.rint(depth_m * 1000).astype(np.uint16)
    found = decode_depth(message(encode_rvl(millimetres), "16UC1; compressedDepth rvl"))
    np.testing.assert_allclose(found, depth_m, atol=1e-6)


@pytest.mark.parametrize("kind", ["32FC1; compressedDepth png", "32FC1; compressedDepth", "compressedDepth"])
@pytest.mark.parametrize("encode", [png, encode_rvl])
def test_inverse_depth_is_metres_by_the_parameters_of_its_header(depth_m, kind, encode):
    known = depth_m > 0
    steps = np.where(known, A / np.where(known, depth_m, 1) + B, 0).astype(np.uint16)
    kind = kind if encode is png else f"{kind} rvl"
    found = decode_depth(message(encode(steps), kind, (A, B)))
    assert (found[~known] == 0).all()
    np.testing.assert_allclose(found[known], depth_m[known], rtol=0.01)


def test_whole_millimetres_ignore_parameters_that_nobody_set(depth_m):
    millimetres = np.rint(depth_m * 1000).astype(np.uint16)
    found = decode_depth(message(png(millimetres), "16UC1; compressedDepth", (3e38, 7.0)))
    np.testing.assert_allclose(found, depth_m, atol=1e-6)
    bare = SimpleNamespace(format="png", data=np.frombuffer(png(millimetres), np.uint8))
    np.testing.assert_allclose(decode_depth(bare), depth_m, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (struct.pack("<ii", 640, 480) + bytes(999), "16UC1; compressedDepth rvl", "damaged RVL"),
        (struct.pack("<ii", -1, 480) + bytes(99), "16UC1; compressedDepth rvl", "damaged RVL"),
        (b"", "16UC1; compressedDepth rvl", "damaged RVL"),
        (b"\xff\xd8\xff", "16UC1; jpeg compressed", "needs a 16-bit PNG or RVL"),
        (png(np.ones((4, 4), np.uint16)), "32FC1; compressedDepth png", "its parameters are 0 and 0"),
    ],
)
def test_what_is_damaged_or_lossy_is_one_sentence(content, kind, words):
    with pytest.raises(LightDepthError, match=words):
        decode_depth(message(content, kind))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_rvl_that_was_cut_off_is_damaged(depth_m, share):
    content = encode_rvl(np.rint(depth_m * 1000).astype(np.uint16))[8:]
    with pytest.raises(ValueError, match="at pixel"):
        decode_rvl(content[: int(len(content) * share)], depth_m.size)
