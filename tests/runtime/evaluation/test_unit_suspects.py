from dataclasses import replace

import cv2
import numpy as np
import pytest

from lightdepth_runtime.evaluation.unit_suspects import nearest_mistake, suspect_unit
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit


def rewrite(folder, encode):
    """Write every depth file anew, and return the pairs' true median in metres by photograph."""
    truth = {}
    for split in ("train", "test"):
        for pair in load_pairs(folder, split).pairs:
            image, values = pair.read_stored()
            truth[image.tobytes()] = float(np.median(values[values > 0])) / 1000
            assert cv2.imwrite(str(pair.depth_path), encode(values.astype(np.int64)).astype(np.uint16))
    return lambda image: np.full(image.shape[:2], truth[image.tobytes()] * 1.2, np.float32)


UNITS = {
    "tum": (lambda mm: mm * 5, 5),
    "realsense-l515": (lambda mm: mm * 4, 4),
    "realsense-sr300": (lambda mm: mm * 8, 8),
    "sunrgbd": (lambda mm: (mm << 3 | mm >> 13) & 0xFFFF, 8),
    "kitti": (lambda mm: np.rint(mm * 0.256), 0.256),
}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_not_declared_is_found_out(tum_copy, unit):
    encode, factor = UNITS[unit]
    witness = rewrite(tum_copy, encode)
    suspect = suspect_unit(load_pairs(tum_copy, "train"), witness)
    assert (suspect.factor, suspect.certain) == (factor, True)
    assert f"--depth-scale {1000 * factor:g}" in suspect.describe()


def test_packed_depth_of_a_wrong_unit_is_to_be_packed_again(tum_copy):
    witness = rewrite(tum_copy, lambda mm: mm * 5)
    pairs = load_pairs(tum_copy, "train")
    suspect = suspect_unit(replace(pairs, packaging=f"packed {pairs.packaging}"), witness)
    assert "Pack it again with `lightdepth data pack` and --depth-scale 5000 (tum)" in suspect.describe()


@pytest.mark.parametrize("unit", UNITS)
def test_a_declared_unit_is_believed(tum_copy, unit):
    witness = rewrite(tum_copy, UNITS[unit][0])
    assert suspect_unit(load_pairs(tum_copy, "train", unit=parse_depth_unit(unit)), witness) is None


def test_millimetres_are_not_suspect(tum_copy):
    witness = rewrite(tum_copy, lambda mm: mm)
    assert suspect_unit(load_pairs(tum_copy, "train"), witness) is None


def test_a_lie_is_found_out_by_two_signs(tum_copy):
    witness = rewrite(tum_copy, lambda mm: mm * 5)
    suspect = suspect_unit(load_pairs(tum_copy, "train", unit=parse_depth_unit("millimetres")), witness)
    assert (suspect.factor, suspect.certain, suspect.unit) == (5, True, "millimetres")


def test_a_declared_street_is_not_judged_by_a_model_of_rooms(tum_copy):
    witness = rewrite(tum_copy, lambda mm: mm * 12 + 1)
    pairs = load_pairs(tum_copy, "train", unit=parse_depth_unit("millimetres"))
    assert suspect_unit(pairs, witness) is None
    assert suspect_unit(load_pairs(tum_copy, "train"), witness).certain, "undeclared it has to be declared first"


def test_without_a_model_the_values_make_a_warning(tum_copy):
    rewrite(tum_copy, lambda mm: mm * 5)
    suspect = suspect_unit(load_pairs(tum_copy, "train"), None)
    assert (suspect.factor, suspect.certain) == (5, False)


def test_a_mistake_is_only_named_near_it():
    assert nearest_mistake(4.4, within=1.3) == 4
    assert nearest_mistake(3.0, within=1.3) is None
    assert nearest_mistake(1.4) is None
