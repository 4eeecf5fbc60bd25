"""Fitting scale and slope, and judging them by what was kept aside."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, Intrinsics, LightDepthError, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.calibration.fit import DepthGroup, KnownDistance, calibrate, groups_of_pairs, groups_of_points
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.infer.infer import infer_files, plan_jobs
from lightdepth_runtime.pairs import FrameData, load_pairs
from lightdepth_runtime.spec import DepthCalibration

CAMERA = Intrinsics(100.0, 100.0, 79.5, 59.5, 160, 120)
SPEC = ModelSpec(name="fake", input_height=64, input_width=96, parameters=0, intrinsics=CAMERA)


def groups(truth_of, count=9, *, noise=0.1, samples=50):
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        predicted = rng.uniform(0.5, 6, samples)
        made.append(DepthGroup(str(number), predicted, truth_of(predicted) * np.exp(rng.normal(0, noise, samples))))
    return made


def test_a_wrong_scale_is_found_and_the_rest_says_that_it_helped():
    report = calibrate(groups(lambda depth: 1.6 * depth), None, "nine groups")
    assert report.calibration.scale == pytest.approx(1.6, rel=0.05)
    assert report.calibration.exponent == 1.0  # a slope that isn't in the data is not fitted
    assert (report.fitted, report.held_out) == (6, 3)
    assert report.abs_rel_before == pytest.approx(0.37, abs=0.05)
    assert report.abs_rel_after < 0.1
    assert not report.made_worse
    assert report.describe().endswith("on 3 kept aside of 9: it helped")
    assert report.calibration.fitted_on == "nine groups"


def test_a_slope_in_log_depth_is_fitted_where_it_predicts_groups_left_out_better():
    report = calibrate(groups(lambda depth: 0.7 * depth**1.4), None, "")
    assert report.calibration.exponent == pytest.approx(1.4, abs=0.05)
    assert report.calibration.scale == pytest.approx(0.7, rel=0.05)
    assert report.abs_rel_after < 0.1


def test_a_slope_beyond_reason_or_from_one_distance_is_not_fitted():
    assert calibrate(groups(lambda depth: 0.7 * depth**3), None, "").calibration.exponent == 1.0
    flat = [DepthGroup(str(i), np.array([2 + i / 100]), np.array([1 + i / 50])) for i in range(9)]
    assert calibrate(flat, None, "").calibration.exponent == 1.0


def test_wild_readings_do_not_move_the_scale():
    data = groups(lambda depth: 1.6 * depth)
    for group in data:
        group.truth_m[:10] = 0.01
    assert calibrate(data, None, "").calibration.scale == pytest.approx(1.6, rel=0.05)


def test_every_group_counts_the_same_whatever_its_number_of_samples():
    few = [DepthGroup(str(i), np.ones(3), np.full(3, 2.0)) for i in range(2)]
    many = DepthGroup("many", np.ones(1000), np.full(1000, 5.0))
    assert calibrate([*few, many], None, "").calibration.scale == pytest.approx(2.0)


def test_what_made_it_worse_is_known_by_the_groups_kept_aside():
    data = groups(lambda depth: 2 * depth)
    data[2::3] = [DepthGroup(g.name, g.predicted_m, g.predicted_m) for g in data[2::3]]
    report = calibrate(data, None, "")
    assert report.made_worse
    assert report.describe().endswith("it did not help")


def test_few_distances_are_all_fitted_and_judge_nothing():
    data = groups(lambda depth: 2 * depth, count=5, samples=1, noise=0)
    report = calibrate(data, None, "")
    assert (report.fitted, report.held_out, report.made_worse) == (5, 0, False)
    assert report.calibration.scale == pytest.approx(2)
    assert "too few to keep some aside" in report.describe()


def test_before_is_with_the_calibration_that_the_model_has():
    report = calibrate(groups(lambda depth: 2 * depth, noise=0), DepthCalibration(4.0), "")
    assert report.abs_rel_before == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_distances_that_are_none_are_refused(value):
    with pytest.raises(LightDepthError, match=r"shelf: .* positive and finite"):
        calibrate([DepthGroup("shelf", np.ones(1), np.array([value]))], None, "")
    with pytest.raises(LightDepthError, match="at least one known distance"):
        calibrate([], None, "")


def test_points_are_the_uncalibrated_models_pixels(tum):
    image = next(tum.rglob("*_rgb.jpg"))
    backend = FakeBackend(SPEC.with_changes(calibration=DepthCalibration(3.0)))
    expected = DepthEstimator(FakeBackend(SPEC))(read_image(image))
    points = [KnownDistance(image, 159, 7, 2.5), KnownDistance(image, 0, 119, 4.0)]
    first, second = groups_of_points(backend, points)
    assert (first.predicted_m, second.predicted_m) == (expected[7, 159], expected[119, 0])
    assert (first.truth_m, second.truth_m) == (2.5, 4.0)
    for x, y in ((160, 0), (0, 120), (-1, 0)):
        with pytest.raises(LightDepthError, match="outside the image, which is 160x120"):
            groups_of_points(backend, [KnownDistance(image, x, y, 1.0)])


def test_points_of_a_camera_with_another_focal_length_are_fitted_without_its_factor(tum):
    image = next(tum.rglob("*_rgb.jpg"))
    (group,) = groups_of_points(FakeBackend(SPEC), [KnownDistance(image, 80, 60, 3.0)], focal_px=200.0)
    scale = calibrate([group], None, "").calibration.scale
    calibrated = DepthEstimator(FakeBackend(SPEC.with_changes(calibration=DepthCalibration(scale))))
    assert calibrated(read_image(image), focal_px=200.0)[60, 80] == pytest.approx(3.0)


def test_a_photographs_own_focal_length_is_left_out_of_the_fit_since_infer_will_add_it(tum, tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    exif, path = pillow.Exif(), tmp_path / "a.png"
    exif.get_ifd(0x8769)[0xA405] = 50
    pillow.open(next(tum.rglob("*_rgb.jpg"))).save(path, exif=exif)
    (group,) = groups_of_points(FakeBackend(SPEC), [KnownDistance(path, 80, 60, 3.0)])
    scale = calibrate([group], None, "").calibration.scale
    calibrated = DepthEstimator(FakeBackend(SPEC.with_changes(calibration=DepthCalibration(scale))))
    infer_files(calibrated, plan_jobs([path]), tmp_path / "out", save=["npy"])
    assert np.load(tmp_path / "out" / "a_depth.npy")[60, 80] == pytest.approx(3.0)
    unknown = SPEC.with_changes(intrinsics=None)  # infer adds nothing, and so is nothing left out
    assert groups_of_points(FakeBackend(unknown), [KnownDistance(path, 80, 60, 3.0)])[0].truth_m == 3.0


def test_pairs_give_one_group_each_with_their_readings(tum):
    pairs = load_pairs(tum, "train")
    made = groups_of_pairs(FakeBackend(SPEC), pairs)
    assert [group.name for group in made] == [pair.name for pair in pairs.pairs]
    for group, pair in zip(made, pairs.pairs, strict=True):
        readings = pair.read().depth_m
        assert 100 < len(group.truth_m) <= 2000
        assert np.isin(group.truth_m.astype(np.float32), readings[readings > 0]).all()
        assert len(group.predicted_m) == len(group.truth_m)


def test_pairs_without_a_reading_are_left_out_and_counted(tum):
    pairs, said = load_pairs(tum, "train"), []
    image = pairs.pairs[0].read().image
    empty = SimpleNamespace(
        name="empty", scene="s", read=lambda: FrameData(image, np.zeros(image.shape[:2], np.float32))
    )
    made = groups_of_pairs(FakeBackend(SPEC), replace(pairs, pairs=[empty, *pairs.pairs]), say=said.append)
    assert [group.name for group in made] == [pair.name for pair in pairs.pairs]
    (line,) = said
    assert f"1 of {len(pairs) + 1} pairs have no reading" in line


def test_calibrated_depth_is_the_formula_at_every_resolution_and_focal_length():
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    plain = DepthEstimator(FakeBackend(SPEC))
    scaled = DepthEstimator(FakeBackend(SPEC.with_changes(calibration=DepthCalibration(0.5))))
    bent = DepthEstimator(FakeBackend(SPEC.with_changes(calibration=DepthCalibration(0.5, 1.3))))
    np.testing.assert_allclose(scaled(image, focal_px=170.0), plain(image, focal_px=170.0) / 2, rtol=1e-6)
    expected = 0.5 * plain(image, resolution="model") ** 1.3
    np.testing.assert_allclose(bent(image, resolution="model"), expected, rtol=1e-5)


def test_the_callers_model_keeps_its_calibration(tum):
    spec = SPEC.with_changes(calibration=DepthCalibration(2.0))
    backend, pairs = FakeBackend(spec), load_pairs(tum, "train")
    found = groups_of_pairs(backend, pairs)
    point = KnownDistance(pairs.pairs[0].color_path, 80, 60, 2.0)
    groups_of_points(backend, [point])
    assert backend.spec is spec
    plain = groups_of_pairs(FakeBackend(SPEC), pairs)
    np.testing.assert_array_equal(found[0].predicted_m, plain[0].predicted_m)
