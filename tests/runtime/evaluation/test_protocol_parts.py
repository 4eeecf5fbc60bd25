import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.protocol import ProtocolParts, choose_protocol, get_protocol


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("garg", (153, 371), (44, 1197)), ("eigen-kitti", (124, 342), (44, 1197))]
)
def test_kitti_crops_are_those_of_the_published_code_at_375x1242(name, rows, columns):
    mask = get_protocol(name).valid(np.full((375, 1242), 79.9, np.float32))
    seen_rows, seen_columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (seen_rows[0], seen_rows[-1] + 1) == rows
    assert (seen_columns[0], seen_columns[-1] + 1) == columns


def test_truth_beyond_80_metres_does_not_count_on_kitti():
    assert not get_protocol("kitti").valid(np.full((375, 1242), 80.0, np.float32)).any()


def test_parts_replace_those_of_a_preset_and_enter_its_id():
    protocol = choose_protocol("eigen", ProtocolParts(crop="garg", max_depth_m=40, averaging="pooled", focal=True))
    assert protocol.id == "crop-garg_0.001-40m_align-none_pooled_no-tta_focal"
    assert protocol.name == "custom"
    assert protocol.max_prediction_m == 40


def test_parts_that_make_a_preset_take_its_name():
    assert choose_protocol("eigen", ProtocolParts(crop="none")).name == "none"
    assert choose_protocol("none", ProtocolParts(crop="garg", max_depth_m=80)).name == "garg"


@pytest.mark.parametrize(
    ("packaging", "range_m", "expected"),
    [
        ("kaggle", 10, "crop-eigen_0.001-10m"),
        ("packed labelled mat", 10, "crop-eigen_0.001-10m"),
        ("pair list", 10, "crop-eigen_0.001-10m"),
        ("pair list", 40, "crop-none_0.001-40m"),
        ("KITTI", 80, "crop-garg_0.001-80m"),
        ("colour and depth folders", 5, "crop-none_0.001-5m"),
    ],
)
def test_packaging_and_range_imply_a_protocol(packaging, range_m, expected):
    assert choose_protocol(None, packaging=packaging, range_m=range_m).id.startswith(expected + "_align-none")


def test_an_unknown_crop_and_an_empty_range_are_refused():
    with pytest.raises(LightDepthError, match="Unknown crop 'kitti'; choose one of eigen, "):
        choose_protocol(None, ProtocolParts(crop="kitti"))
    with pytest.raises(LightDepthError, match="--max-depth 0"):
        choose_protocol(None, ProtocolParts(max_depth_m=0.0))
