from dataclasses import fields, replace

import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.protocol import PROTOCOLS, Protocol, align, get_protocol


def test_the_eigen_crop_is_exact_at_480x640():
    mask = get_protocol("eigen").valid(np.full((480, 640), 2.0, np.float32))
    expected = np.zeros((480, 640), bool)
    expected[45:471, 41:601] = True
    np.testing.assert_array_equal(mask, expected)


def test_the_eigen_crop_scales_with_the_truth():
    mask = get_protocol("eigen").valid(np.full((240, 320), 2.0, np.float32))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1] + 1) == (22, 236)
    assert (columns[0], columns[-1] + 1) == (20, 300)


def test_only_truth_strictly_inside_the_range_counts():
    truth = np.float32([[0.0, 1e-3, 1.1e-3, 9.99, 10.0, np.nan, np.inf, -1.0]])
    np.testing.assert_array_equal(get_protocol("none").valid(truth), [[0, 0, 1, 1, 0, 0, 0, 0]])


def test_ids_differ_whenever_any_choice_differs():
    base = Protocol()
    other = {
        "crop": "none",
        "min_depth_m": np.nextafter(1e-3, 1),
        "max_depth_m": 10.000001,
        "alignment": "median",
        "averaging": "pooled",
        "flip_tta": True,
    }
    assert set(other) == {field.name for field in fields(Protocol)} - {"name"}
    ids = [base.id, *(replace(base, **{key: value}).id for key, value in other.items())]
    assert len(set(ids)) == len(ids)


def test_the_default_protocol_is_written_as_in_released_results():
    assert get_protocol("eigen").id == "crop-eigen_0.001-10m_align-none_per-image_no-tta"


def test_a_protocol_says_its_choices_to_people_and_machines():
    protocol = get_protocol("eigen", "median", flip_tta=True)
    for words in ("Eigen crop", "median-aligned", "per-image", "flip TTA"):
        assert words in protocol.describe()
    assert protocol.to_dict()["id"] == protocol.id
    assert protocol.to_dict()["alignment"] == "median"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_presets_are_found_by_their_name(name):
    assert get_protocol(name).name == name


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(LightDepthError, match="Unknown protocol 'kitti'; choose one of eigen, none"):
        get_protocol("kitti")
    with pytest.raises(LightDepthError, match="Unknown alignment 'mean'; choose one of none, median, scale-shift"):
        get_protocol("eigen", "mean")


def test_median_alignment_recovers_any_scale():
    truth = np.random.default_rng(0).uniform(0.5, 9, 501)
    np.testing.assert_allclose(align(truth * 0.31, truth, "median"), truth)


def test_scale_shift_recovers_metres_from_scaled_and_shifted_disparity():
    truth = np.random.default_rng(0).uniform(0.5, 9, 501)
    relative = (1 / truth - 0.05) / 3.0
    np.testing.assert_allclose(align(relative, truth, "scale-shift", "relative-inverse"), truth)
    np.testing.assert_allclose(align(1 / relative.clip(1e-2), truth, "scale-shift").mean(), truth.mean(), rtol=0.5)


def test_scale_shift_of_a_metric_model_solves_the_least_squares_problem():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 9, 300)
    prediction = truth * rng.uniform(0.8, 1.2, 300)
    design = np.stack([1 / prediction, np.ones(300)], axis=1)
    scale, shift = np.linalg.lstsq(design, 1 / truth, rcond=None)[0]
    expected = 1 / np.maximum(scale / prediction + shift, np.finfo(float).tiny)
    np.testing.assert_allclose(align(prediction, truth, "scale-shift"), expected, rtol=1e-9)


def test_a_constant_prediction_aligns_to_a_finite_depth():
    truth = np.random.default_rng(0).uniform(0.5, 9, 50)
    for alignment in ("none", "median", "scale-shift"):
        assert np.isfinite(align(np.full(50, 2.0), truth, alignment)).all()


@pytest.mark.parametrize("alignment", ["none", "median"])
def test_a_relative_prediction_without_scale_shift_is_refused(alignment):
    with pytest.raises(LightDepthError, match="use scale-shift"):
        align(np.ones(3), np.ones(3), alignment, "relative-inverse")
