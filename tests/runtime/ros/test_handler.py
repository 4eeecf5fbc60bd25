"""What the ROS 2 node does with messages, without ROS."""

from types import SimpleNamespace

import numpy as np
import pytest
from fakes.rooms import room_m

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.frames.frame import DepthFrame, Frame
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.ros import AnswerOptions, DepthHandler, make_answer
from lightdepth_runtime.spec import Intrinsics, ModelSpec


@pytest.fixture
def image(tum):
    return load_pairs(tum, "train").pairs[0].read().image


def header():
    return SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=123_456_789), frame_id="camera")


def message(pixels, encoding="rgb8"):
    height, width, channels = pixels.shape
    fields = {"height": height, "width": width, "step": width * channels, "is_bigendian": 0}
    return SimpleNamespace(header=header(), encoding=encoding, data=pixels.tobytes(), **fields)


def camera_info(fx, width=160, height=120):
    """The same lens whatever the size: 79.5, 59.5 in the middle of 160 x 120."""
    k = [fx, 0, (width - 1) / 2, 0, fx, (height - 1) / 2, 0, 0, 1]
    roi = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    matrices = {"d": [0.0] * 5, "k": k, "r": np.eye(3).ravel(), "p": np.zeros(12)}
    return SimpleNamespace(
        header=header(),
        width=width,
        height=height,
        distortion_model="plumb_bob",
        binning_x=0,
        binning_y=0,
        roi=roi,
        **matrices,
    )


def test_depth_has_the_stamp_frame_and_size_of_its_image(image):
    estimator = DepthEstimator(FakeBackend())
    depth = DepthHandler(estimator)(message(image)).depth
    assert (depth.stamp_ns, depth.frame_id) == (1_700_000_000_123_456_789, "camera")
    np.testing.assert_array_equal(depth.data.view("<f4").reshape(120, 160), estimator(image))


def test_a_camera_with_twice_the_focal_length_doubles_depth(image):
    spec = ModelSpec("fake", 64, 96, 0, intrinsics=Intrinsics(130, 130, 79.5, 59.5, 160, 120))
    handler = DepthHandler(DepthEstimator(FakeBackend(spec)))
    plain = handler(message(image)).depth.data.view("<f4")
    for info in (camera_info(260), camera_info(520, 320, 240)):  # the same lens, calibrated at twice the size
        handler.camera_info(info)
        np.testing.assert_allclose(handler(message(image)).depth.data.view("<f4"), 2 * plain, rtol=1e-6)
    handler.camera_info(camera_info(0))  # nobody's calibration: the one before stays
    np.testing.assert_allclose(handler(message(image)).depth.data.view("<f4"), 2 * plain, rtol=1e-6)


@pytest.mark.parametrize("size", [(0, 0), (160, 90)])
def test_a_camera_info_that_is_not_the_images_is_noted_and_depth_goes_on(image, size):
    spec = ModelSpec("fake", 64, 96, 0, intrinsics=Intrinsics(130, 130, 79.5, 59.5, 160, 120))
    handler = DepthHandler(DepthEstimator(FakeBackend(spec)))
    plain = handler(message(image)).depth.data
    handler.camera_info(camera_info(260, *size))
    np.testing.assert_array_equal(handler(message(image)).depth.data, plain)
    assert "so it isn't used" in handler.note or "another shape" in handler.note


def test_a_cut_image_has_the_focal_length_of_the_whole_and_a_rectified_one_that_of_p(image):
    spec = ModelSpec("fake", 64, 96, 0, intrinsics=Intrinsics(130, 130, 79.5, 59.5, 160, 120))
    info = camera_info(260, 320, 240)
    info.roi = SimpleNamespace(x_offset=80, y_offset=60, height=120, width=160, do_rectify=False)
    info.p = np.array([390, 0, 159.5, 0, 0, 390, 119.5, 0, 0, 0, 1, 0.0])
    plain = DepthHandler(DepthEstimator(FakeBackend(spec)))(message(image)).depth.data.view("<f4")
    for topic, factor in (("/camera/image_raw", 2), ("/camera/image_rect", 3)):
        handler = DepthHandler(DepthEstimator(FakeBackend(spec)), topic=topic)
        handler.camera_info(info)
        np.testing.assert_allclose(handler(message(image)).depth.data.view("<f4"), factor * plain, rtol=1e-6)


def test_a_bad_message_is_an_error_and_the_next_one_works(image):
    handler = DepthHandler(DepthEstimator(FakeBackend()), AnswerOptions("16UC1"))
    with pytest.raises(LightDepthError, match="'nv21'"):
        handler(message(image, "nv21"))
    assert handler(message(image)).depth.encoding == "16UC1"


def test_a_nodes_parameter_that_is_no_depth_encoding_is_refused_before_the_first_message():
    with pytest.raises(LightDepthError, match="32FC1 or 16UC1, got '32fc1'"):
        AnswerOptions("32fc1")


def known_points(points, stamp_offset_ns=0, kind=7):
    values = np.asarray(points, "<f4" if kind == 7 else "<f8")
    step = values.itemsize
    fields = [SimpleNamespace(name=axis, offset=step * n, datatype=kind, count=1) for n, axis in enumerate("xyz")]
    cloud = SimpleNamespace(
        header=header(), height=1, width=len(values), fields=fields, is_bigendian=False, point_step=3 * step
    )
    cloud.header.stamp.nanosec += stamp_offset_ns
    cloud.row_step, cloud.data = len(values) * 3 * step, values.tobytes()
    return cloud


def points_at(depth_m, scale, fx=130.0):
    """Points of a camera in whose middle pixel (79.5, 59.5) the axis is, at the depth of a map times a scale."""
    rows, columns = np.mgrid[5:120:12, 5:160:12]
    z = scale * depth_m[rows, columns].astype(np.float64)
    return np.stack([(columns - 79.5) / fx * z, (rows - 59.5) / fx * z, z], axis=-1).reshape(-1, 3)


def test_known_points_correct_depth_and_stray_ones_outside_the_view_do_not_matter(image):
    estimator = DepthEstimator(FakeBackend())
    plain_m = estimator(image)
    handler = DepthHandler(estimator)
    handler.camera_info(camera_info(130.0))
    points = np.concatenate([points_at(plain_m, 1.3), [[50.0, 0, 1], [0, 0, -3.0], [np.nan, 0, 1]]])
    for kind in (7, 8):
        handler.points(known_points(points, kind=kind))
        depth_m = handler(message(image)).depth.data.view("<f4")
        assert np.median(depth_m) == pytest.approx(1.3 * np.median(plain_m), rel=0.03)
        assert handler.correction.used > 100


def test_old_points_and_wrong_ones_leave_depth_as_it_is_and_wrong_ones_say_so(image):
    estimator = DepthEstimator(FakeBackend())
    plain_m = estimator(image)
    handler = DepthHandler(estimator)
    handler.camera_info(camera_info(130.0))
    handler.points(known_points(points_at(plain_m, 1.3), stamp_offset_ns=800_000_000))
    np.testing.assert_array_equal(handler(message(image)).depth.data.view("<f4").reshape(120, 160), plain_m)
    assert handler.note is None
    handler.points(known_points(points_at(plain_m, 1000.0)))
    np.testing.assert_array_equal(handler(message(image)).depth.data.view("<f4").reshape(120, 160), plain_m)
    assert "metres" in handler.note


def test_a_range_finder_counts_as_one_point_and_out_of_range_as_none(image):
    handler = DepthHandler(DepthEstimator(FakeBackend()))
    handler.camera_info(camera_info(130.0))
    for value, used in ((float("inf"), 0), (0.01, 0), (1.5, 1)):
        handler.range(SimpleNamespace(header=header(), range=value, min_range=0.1, max_range=4.0))
        handler(message(image))
        assert handler.correction.used == used


def handler_that_remembers(image):
    """Return a handler that has seen points at 1.3 times its depth, and none any more."""
    estimator = DepthEstimator(FakeBackend())
    handler = DepthHandler(estimator)
    handler.camera_info(camera_info(130.0))
    handler.points(known_points(points_at(estimator(image), 1.3)))
    handler(message(image))
    handler.points(known_points(points_at(estimator(image), 1.3), stamp_offset_ns=800_000_000))  # none for now
    handler(message(image))
    assert handler.correction.scale > 1.2
    return handler


def test_another_camera_forgets_the_scale(image):
    handler = handler_that_remembers(image)
    handler.camera_info(camera_info(130.0))
    handler(message(image))
    assert handler.correction.scale > 1.2
    handler.camera_info(camera_info(140.0))
    handler(message(image))
    assert handler.correction.scale == 1


def test_a_cut_forgets_the_scale(image, tum):
    handler = handler_that_remembers(image)
    handler(message(load_pairs(tum, "train").pairs[-1].read().image))  # of another recording
    assert handler.correction.scale == 1


def test_points_without_a_calibrated_camera_are_noted(image):
    handler = DepthHandler(DepthEstimator(FakeBackend()))
    handler.points(known_points([[0, 0, 1.0]]))
    answer = handler(message(image))
    assert "camera_info" in handler.note
    assert (answer.camera, answer.cloud, answer.scan) == (None, None, None)


def test_a_mounted_camera_gives_a_scan_and_the_floor_its_scale():
    mount = CameraMount(0.4, 10.0)
    room = room_m(mount, wall_m=4.0)
    handler = DepthHandler(_Says(room / np.float32(1.25)), AnswerOptions(mount=mount), scale_from_floor=True)
    info = camera_info(130.0)
    handler.camera_info(info)
    answer = handler(message(np.zeros((120, 160, 3), np.uint8)))
    np.testing.assert_allclose(answer.depth.data.view("<f4").reshape(120, 160), room, rtol=0.03)
    assert np.median(answer.scan.ranges_m) == pytest.approx(4.0, rel=0.05)
    assert answer.level.mount == mount
    handler(message(np.zeros((120, 160, 3), np.uint8)))
    assert handler.note is None


def test_a_floor_that_is_not_seen_is_noted():
    wall = np.full((120, 160), 2, np.float32)
    handler = DepthHandler(_Says(wall), AnswerOptions(mount=CameraMount(0.4)), scale_from_floor=True)
    handler.camera_info(camera_info(130.0))
    handler(message(np.zeros((120, 160, 3), np.uint8)))
    assert "No floor" in handler.note


def test_the_floors_scale_needs_the_cameras_height():
    with pytest.raises(LightDepthError, match="camera's height"):
        DepthHandler(DepthEstimator(FakeBackend()), scale_from_floor=True)


def test_sigma_becomes_confidence_and_unsure_depth_is_not_a_number(image):
    spec = ModelSpec("fake", 64, 96, 0, sigma_tensor="sigma")
    sigma = DepthEstimator(FakeBackend(spec)).predict(image).sigma
    for steady in (False, True):
        handler = DepthHandler(DepthEstimator(FakeBackend(spec)), AnswerOptions(max_sigma=0.3), steady=steady)
        answer = handler(message(image))
        depth_m = answer.depth.data.view("<f4").reshape(sigma.shape)
        confidence = answer.confidence.data.view("<f4")
        assert ((confidence >= 0) & (confidence <= 1)).all()
        np.testing.assert_array_equal(np.isnan(depth_m), sigma > 0.3)
        assert 0 < np.isnan(depth_m).mean() < 1


def test_the_scan_counts_what_the_model_is_unsure_of():
    room = room_m(CameraMount(0.4), wall_m=3.0)
    intrinsics = Intrinsics(130.0, 130.0, 79.5, 59.5, 160, 120)
    sigma = np.full(room.shape, 0.5, np.float32)
    done = DepthFrame(Frame(np.zeros((120, 160, 3), np.uint8), 1, "a"), room, intrinsics, sigma)
    strict, lax = (make_answer(done, AnswerOptions(mount=CameraMount(0.4), max_sigma=limit)) for limit in (0.4, np.inf))
    assert np.isnan(strict.depth.data.view("<f4")).all()
    assert not strict.cloud.is_dense
    np.testing.assert_array_equal(strict.scan.ranges_m, lax.scan.ranges_m)
    assert np.nanmin(strict.scan.ranges_m) == pytest.approx(3.0, abs=0.1)


class _Says:
    """An estimator that says the same depth of every image."""

    def __init__(self, depth_m):
        self.spec = ModelSpec("fixed", 64, 96, 0)
        self._depth_m = depth_m

    def __call__(self, image, *, focal_px=None):
        return self._depth_m.copy()

    def depth_and_sigma(self, image, *, focal_px=None):
        return self(image), None
