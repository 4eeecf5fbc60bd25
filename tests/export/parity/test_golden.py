import numpy as np
import pytest

from lightdepth_export.parity.golden import write_golden
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.spec import ModelSpec

TOLERANCES = {"ONNX FP32": 1e-3, "ONNX FP16": 0.02}


@pytest.fixture
def golden(frames, tmp_path):
    return write_golden(tmp_path / "golden", frames[0], FakeBackend(), TOLERANCES)


def test_the_files_are_the_steps_from_frame_to_metres(golden, frames):
    backend = FakeBackend()
    image = frames[0].image
    batch = preprocess(image, backend.spec)[None]
    np.testing.assert_array_equal(np.load(golden / "frame.npy"), image)
    np.testing.assert_array_equal(np.load(golden / "input.npy"), batch)
    np.testing.assert_array_equal(np.load(golden / "depth.npy"), backend.run(batch))
    np.testing.assert_array_equal(np.load(golden / "frame_depth.npy"), DepthEstimator(backend)(image))


@pytest.mark.parametrize(
    ("name", "kind"), [("frame", "<u1"), ("input", "<f4"), ("depth", "<f4"), ("frame_depth", "<f4")]
)
def test_raw_files_hold_the_same_values_little_endian(golden, name, kind):
    array = np.load(golden / f"{name}.npy")
    np.testing.assert_array_equal(np.fromfile(golden / f"{name}.bin", kind).reshape(array.shape), array)


def test_the_spec_can_be_read_back(golden):
    assert ModelSpec.from_json((golden / "spec.json").read_text()) == FakeBackend().spec


def test_the_readme_names_every_file_shape_and_tolerance(golden):
    text = (golden / "README.md").read_text()
    for part in ("`frame`", "`frame_depth`", "120 x 160 x 3", "1 x 3 x 64 x 96", "| ONNX FP16 | 2.0e-02 |"):
        assert part in text


def test_a_golden_folder_is_replaced(golden, frames):
    write_golden(golden, frames[1], FakeBackend(), TOLERANCES)
    np.testing.assert_array_equal(np.load(golden / "frame.npy"), frames[1].image)
    assert [path.name for path in golden.parent.iterdir()] == ["golden"]


def test_a_folder_with_other_files_is_left_alone(frames, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LightDepthError, match="holds other files"):
        write_golden(tmp_path, frames[0], FakeBackend(), TOLERANCES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
