"""Frames of any layout are copied as RGB, and preprocessed as their packed copy is."""

import numpy as np
import pytest

from lightdepth_runtime import ModelSpec
from lightdepth_runtime.images.preprocess import as_rgb, preprocess

SPEC = ModelSpec(name="t", input_height=32, input_width=64, parameters=1)


@pytest.mark.parametrize("channel_order", ["rgb", "bgr"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("view", ["whole", "window", "mirrored", "reversed", "upside down"])
def test_a_frame_is_copied_as_rgb_whatever_view_it_is(channels, channel_order, view):
    stored = np.random.default_rng(0).integers(0, 256, (40, 60, channels), dtype=np.uint8)
    frame = {
        "whole": stored,
        "window": stored[5:30, 7:51],
        "mirrored": stored[:, ::-1],
        "reversed": stored[:, :, ::-1],
        "upside down": stored[::-1],
    }[view]
    plain = np.repeat(frame, 3, axis=2) if channels == 1 else frame[:, :, :3]
    expected = plain[:, :, ::-1] if channel_order == "bgr" else plain
    out = np.zeros((1, *frame.shape[:2], 3), np.uint8)
    as_rgb(frame, channel_order, out[0])
    np.testing.assert_array_equal(out[0], expected)
    np.testing.assert_array_equal(as_rgb(frame, channel_order), expected)
    packed = preprocess(np.ascontiguousarray(frame), SPEC, channel_order=channel_order)
    np.testing.assert_array_equal(preprocess(frame, SPEC, channel_order=channel_order), packed)
