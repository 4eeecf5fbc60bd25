import json
from dataclasses import fields, replace

import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.protocol import PROTOCOLS, Protocol, get_protocol


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
        "flip_as_sample": True,
        "min_prediction_m": 0.1,
        "max_prediction_m": np.inf,
        "focal": True,
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
    with pytest.raises(LightDepthError, match=r"Unknown protocol 'kiti'; .*'kitti'"):
        get_protocol("kiti")
    with pytest.raises(LightDepthError, match="Unknown alignment 'mean'; choose one of none, median, scale-shift"):
        get_protocol("eigen", "mean")


def test_densedepth_pools_the_pixels_of_its_own_crop_and_averages_the_mirror_image():
    protocol = get_protocol("densedepth")
    assert protocol.averaging == "pooled"
    assert protocol.flip_tta
    assert (protocol.min_prediction_m, protocol.max_prediction_m) == (0.1, 10)
    expected = np.zeros((480, 640), bool)
    expected[20:460, 24:616] = True
    np.testing.assert_array_equal(protocol.valid(np.full((480, 640), 2.0, np.float32)), expected)


def test_guidedepth_scores_the_mirror_image_as_another_sample():
    protocol = get_protocol("guidedepth")
    assert protocol.flip_as_sample
    assert not protocol.flip_tta
    assert protocol.crop == get_protocol("densedepth").crop
    assert protocol.averaging == "per-image"


def test_bts_is_the_default_under_its_other_name_and_adabins_adds_the_mirror_image():
    assert get_protocol("bts").id == get_protocol("eigen").id
    assert get_protocol("adabins").id == get_protocol("eigen", flip_tta=True).id


def test_fastdepth_shrinks_cuts_and_shrinks_as_pil_does():
    from PIL import Image

    depth = np.random.default_rng(0).uniform(0, 12, (480, 640)).astype(np.float32)
    image = np.repeat((depth * 20).astype(np.uint8)[:, :, None], 3, axis=2)
    shrunk = Image.fromarray(depth).resize((333, 250), Image.Resampling.NEAREST)
    expected = shrunk.crop((14, 11, 14 + 304, 11 + 228)).resize((224, 224), Image.Resampling.NEAREST)
    seen, truth = get_protocol("fastdepth").view(image, depth)
    np.testing.assert_array_equal(truth, np.asarray(expected))
    np.testing.assert_array_equal(seen[:, :, 0], (truth * 20).astype(np.uint8))
    assert get_protocol("fastdepth").valid(truth).all(), "depth past 10 m counts there"


def test_fastdepth_is_refused_for_other_frames():
    with pytest.raises(LightDepthError, match="480x640, got 120x160"):
        get_protocol("fastdepth").view(np.zeros((120, 160, 3), np.uint8), np.ones((120, 160), np.float32))


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"fastdepth"}))
def test_the_other_presets_show_the_whole_frame(name):
    image, truth = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.float32)
    assert get_protocol(name).view(image, truth) == (image, truth)


def test_a_preset_keeps_its_mirror_image_when_none_is_asked_for():
    assert get_protocol("densedepth", flip_tta=False).flip_tta


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_preset_is_valid_json(name):
    values = json.loads(json.dumps(get_protocol(name).to_dict(), allow_nan=False))
    assert values["name"] == name
