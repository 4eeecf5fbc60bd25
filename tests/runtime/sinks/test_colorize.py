"""Colour pictures of depth and their scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.sinks.colorize import (
    COLORMAPS,
    NO_DEPTH_RGB,
    DepthRange,
    _ticks,
    colorize,
    depth_range,
    with_scale,
)

RAMP = np.linspace(1, 5, 64 * 48, dtype=np.float32).reshape(48, 64)
RANGE = DepthRange(1.0, 5.0)


@pytest.mark.parametrize("colormap", [c for c in COLORMAPS if c != "turbo"])
def test_near_is_brighter_than_far(colormap):
    picture = colorize(RAMP, colormap, RANGE).astype(int).sum(axis=2)
    assert picture[0, 0] > picture[24, 0] > picture[-1, -1]


def test_turbo_is_red_near_and_blue_far():
    picture = colorize(RAMP, "turbo", RANGE).astype(int)
    near, far = picture[2, 0], picture[-8, -1]
    assert near[0] > near[2]
    assert far[2] > far[0]


def test_colormaps_are_rgb_and_all_different():
    pictures = [colorize(RAMP, colormap, RANGE) for colormap in COLORMAPS]
    assert all(p.shape == (48, 64, 3) and p.dtype == np.uint8 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 6
    assert pictures[0][-1, -1].tolist() == [13, 8, 135]  # plasma's dark end, as matplotlib has it


def test_depth_beyond_the_range_gets_its_end_colours():
    depth_m = np.float32([[0.5, 1.0, 5.0, 50.0]])
    picture = colorize(depth_m, "viridis", RANGE)
    assert (picture[0, 0] == picture[0, 1]).all()
    assert (picture[0, 2] == picture[0, 3]).all()


@pytest.mark.parametrize("hole", [0.0, -1.0, np.nan, np.inf])
def test_pixels_without_depth_have_a_colour_of_their_own(hole):
    depth_m = RAMP.copy()
    depth_m[3, 4] = hole
    for colormap in COLORMAPS:
        picture = colorize(depth_m, colormap)
        assert tuple(picture[3, 4]) == NO_DEPTH_RGB
        assert (picture == NO_DEPTH_RGB).all(axis=2).sum() == 1


def test_unknown_colormap_is_refused_by_name():
    with pytest.raises(LightDepthError, match=r"'jet'.*plasma"):
        colorize(RAMP, "jet", RANGE)


def test_range_ignores_single_outliers_and_holes():
    depth_m = RAMP.copy()
    depth_m[0, 0], depth_m[0, 1], depth_m[0, 2] = 9.9, 0, np.nan
    scale = depth_range(depth_m)
    assert 0.8 <= scale.near_m <= 1.1
    assert 4.9 <= scale.far_m <= 5.2


def test_range_stays_in_the_models():
    scale = depth_range(RAMP * 3, DepthRange(0.001, 10.0))
    assert scale.far_m == 10.0


@pytest.mark.parametrize(("near_m", "far_m"), [(5, 5), (5, 1), (-1, 4), (np.nan, 2), (1, np.inf)])
def test_impossible_ranges_are_refused(near_m, far_m):
    with pytest.raises(LightDepthError, match="near < far"):
        DepthRange(near_m, far_m)


@given(depth=st.floats(1e-4, 1e4), spread=st.floats(0, 100))
def test_a_range_always_holds_the_percentiles(depth, spread):
    scale = depth_range(np.float32([[depth, depth + spread]]))
    rounding = 1e-5 * (depth + spread)
    assert scale.near_m <= depth + 0.01 * spread + rounding
    assert scale.far_m >= depth + 0.99 * spread - rounding
    assert scale.far_m - scale.near_m >= 0.09


def test_range_of_a_picture_without_depth_is_the_limits():
    assert depth_range(np.zeros((4, 4), np.float32), RANGE) == RANGE


@given(near=st.floats(0, 30), span=st.floats(0.05, 60), most=st.integers(2, 8))
def test_ticks_are_round_distinct_and_inside_the_range(near, span, most):
    ticks = _ticks(DepthRange(near, near + span), most)
    assert len(ticks) >= 2
    assert len({label for _, label in ticks}) == len(ticks)
    for depth_m, label in ticks:
        assert near - 1e-4 * span <= depth_m <= near + span * 1.0001
        assert float(label.removesuffix(" m")) == pytest.approx(depth_m, abs=1e-9)


@pytest.mark.parametrize("size", [(480, 640), (3000, 4000), (120, 160), (1, 1), (1000, 20), (20, 3000)])
def test_scale_stands_beside_the_picture_and_covers_nothing(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    whole = with_scale(picture, "plasma", RANGE)
    assert (whole[: size[0], : size[1]] == picture).all()
    assert whole.shape[1] > size[1]
    assert (whole[:, size[1] : size[1] + 3] == 255).all()  # a margin between both


@pytest.mark.parametrize("size", [(480, 640), (3000, 4000), (120, 160)])
@pytest.mark.parametrize("scale", [RANGE, DepthRange(10.0, 10.3), DepthRange(20, 70)])
def test_labels_fit_into_the_scale(size, scale):
    whole = with_scale(np.zeros((*size, 3), np.uint8), "plasma", scale)
    panel = whole[:, size[1] :]
    assert (panel[:, -2:] == 255).all()  # no letter runs into the edge
    assert (panel[:2] == 255).all()
    assert (panel[-2:] == 255).all()


def test_scale_has_the_same_width_whatever_the_range():
    picture = np.zeros((480, 640, 3), np.uint8)
    assert len({with_scale(picture, "gray", DepthRange(0.5, far_m)).shape for far_m in (0.7, 3.0, 80.0)}) == 1


def test_bar_is_far_above_and_near_below():
    panel = with_scale(np.zeros((480, 640, 3), np.uint8), "gray", RANGE)[:, 640:]
    column = panel[40:440, 20, 0].astype(int)
    assert column[0] < 10
    assert column[-1] > 245
    assert (np.diff(column) >= 0).all()
