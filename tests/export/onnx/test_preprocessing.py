import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.utils import Extractor

from lightdepth_export.onnx.backend import open_graph
from lightdepth_export.onnx.fp16_simulation import simulate_fp16
from lightdepth_export.onnx.preprocessing import TOLERANCE_GREY_LEVELS, embed_preprocessing, resize_weights
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.images.preprocess import preprocess

# (frame, network): a Kinect and larger cameras shrink by area averaging; smaller or narrower ones are interpolated
SHRINKING = [((480, 640), (192, 256)), ((480, 640), (96, 128)), ((720, 1280), (256, 448)), ((241, 323), (64, 96))]
HALVED = [((480, 640), (64, 96)), ((720, 1280), (192, 256))]
GROWING = [((60, 80), (64, 96)), ((480, 90), (64, 96))]
# What one grey level in some pixels does to the depth of an untrained network at 1 to 4 m.
DEPTH_TOLERANCE_M = 0.02


@pytest.fixture
def images(make_frames):
    """One smooth image and one of noise, the hardest for a resize, of a size."""

    def make(height, width):
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return [make_frames(1, height, width)[0].image, noise]

    return make


def estimator(model):
    return DepthEstimator(open_graph(model))


def grey_level_error(fp32, spec, frame_size, images):
    """Compare the preprocessing part of the graph with images.preprocess, in grey levels: (image, 3, h, w)."""
    model = embed_preprocessing(fp32, *frame_size)
    part = Extractor(model).extract_model(["frame"], [spec.input_name])
    session = onnxruntime.InferenceSession(part.SerializeToString())
    std = np.array(spec.std).reshape(3, 1, 1)
    got = [session.run(None, {"frame": image[None]})[0][0] for image in images]
    return np.stack([np.abs(g - preprocess(i, spec)) * std * 255 for g, i in zip(got, images, strict=True)])


@pytest.fixture(scope="module")
def resized(dynamic, spec):
    """Return a graph of the network's input size in question: only its input and output matter here."""

    def make(height, width):
        sized = spec.with_changes(input_height=height, input_width=width)
        shapes = [
            onnx.helper.make_tensor_value_info(n, 1, [1, c, height, width]) for n, c in (("image", 3), ("depth", 1))
        ]
        weight = onnx.numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
        node = onnx.helper.make_node("Conv", ["image", "w"], ["depth"])
        graph = onnx.helper.make_graph([node], "sum", shapes[:1], shapes[1:], [weight])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        from lightdepth_export.onnx.metadata import embed_spec

        embed_spec(model, sized)
        return model, sized

    return make


@pytest.mark.parametrize(("frame_size", "network_size"), SHRINKING)
def test_area_averaging_equals_opencvs_but_for_ties(resized, images, frame_size, network_size):
    error = grey_level_error(*resized(*network_size), frame_size, images(*frame_size))
    assert error.max() < TOLERANCE_GREY_LEVELS + 1e-3
    assert (error > 0.5).mean() < 0.001


@pytest.mark.parametrize(("frame_size", "network_size"), HALVED)
def test_halving_first_stays_within_the_stated_tolerance_and_in_small_matrices(
    resized, images, frame_size, network_size
):
    fp32, sized = resized(*network_size)
    error = grey_level_error(fp32, sized, frame_size, images(*frame_size))
    assert error.max() < TOLERANCE_GREY_LEVELS + 1e-3
    assert error.mean() < 0.2  # halving rounds up by an eighth of a level, which moves about one pixel in seven
    weights = {w.name: w.dims for w in embed_preprocessing(fp32, *frame_size).graph.initializer}
    assert weights["frame_rows"][2] < frame_size[0] / 2


@pytest.mark.parametrize(("frame_size", "network_size"), [*SHRINKING, *GROWING])
def test_as_many_matrices_as_blocks_so_that_a_gpu_needs_no_addresses_from_the_host(resized, frame_size, network_size):
    fp32, _ = resized(*network_size)
    weights = {w.name: w.dims for w in embed_preprocessing(fp32, *frame_size).graph.initializer}
    blocks, _, rows = weights["frame_rows"]
    assert blocks * rows == frame_size[0]


@pytest.mark.parametrize(("frame_size", "network_size"), GROWING)
def test_interpolation_stays_within_the_stated_tolerance(resized, images, frame_size, network_size):
    error = grey_level_error(*resized(*network_size), frame_size, images(*frame_size))
    assert error.max() < TOLERANCE_GREY_LEVELS + 1e-3


def test_a_frame_of_the_networks_own_size_passes_unchanged(resized, images):
    error = grey_level_error(*resized(64, 96), (64, 96), images(64, 96))
    assert error.max() < 1e-3


@pytest.mark.parametrize("area", [True, False])
def test_weights_are_opencvs(area):
    cv2 = import_cv2()
    size, target = (30, 12) if area else (12, 30)
    column = np.random.default_rng(0).uniform(0, 1, (size, 1)).astype(np.float32)
    method = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    expected = cv2.resize(column, (1, target), interpolation=method)
    np.testing.assert_allclose(resize_weights(size, target, area=area) @ column, expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_metres_have_the_frames_size_and_equal_the_runtimes(precision, fp32, fp16, images):
    plain = fp32 if precision == "fp32" else simulate_fp16(fp16)
    embedded = embed_preprocessing(fp32 if precision == "fp32" else fp16, 120, 160)
    embedded = embedded if precision == "fp32" else simulate_fp16(embedded)
    image = images(120, 160)[0]
    got, expected = estimator(embedded)(image), estimator(plain)(image)
    assert got.shape == (120, 160)
    np.testing.assert_allclose(got, expected, atol=DEPTH_TOLERANCE_M)


def test_the_file_says_which_frames_it_takes_and_opens_in_the_runtime(fp32, tmp_path, images):
    model = embed_preprocessing(fp32, 120, 160)
    onnx.save_model(model, str(tmp_path / "m.onnx"))
    with DepthEstimator.load(tmp_path / "m.onnx", device="cpu") as loaded:
        assert (loaded.spec.frame_height, loaded.spec.frame_width) == (120, 160)
        assert loaded(images(120, 160)[0]).shape == (120, 160)
        with pytest.raises(LightDepthError, match="takes frames of 160x120, got 90x64"):
            loaded(images(64, 90)[0])


def test_the_argument_is_left_as_it_was(fp32):
    before = fp32.SerializeToString()
    embed_preprocessing(fp32, 120, 160)
    assert fp32.SerializeToString() == before


def test_preprocessing_is_not_put_in_twice(fp32):
    with pytest.raises(LightDepthError, match="already"):
        embed_preprocessing(embed_preprocessing(fp32, 120, 160), 120, 160)


def test_an_open_batch_is_refused(dynamic):
    with pytest.raises(LightDepthError, match="one frame at a time"):
        embed_preprocessing(dynamic, 120, 160)


def test_an_empty_frame_is_refused(fp32):
    with pytest.raises(LightDepthError, match="positive size"):
        embed_preprocessing(fp32, 0, 160)
