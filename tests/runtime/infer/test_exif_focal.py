import numpy as np
import pytest

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.infer.infer import infer_files, plan_jobs
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.spec import Intrinsics

Image = pytest.importorskip("PIL.Image")


def depth_of(folder, lens, said):
    backend = FakeBackend()
    backend.spec = backend.spec.with_changes(intrinsics=Intrinsics(500, 500, 320, 240, 640, 480))
    infer_files(
        DepthEstimator(backend), plan_jobs([folder / "a.jpg"]), folder / "out", save=["npy"], lens=lens, say=said.append
    )
    return np.load(folder / "out" / "a_depth.npy")


@pytest.mark.parametrize("shape", [(48, 64), (64, 48)])
def test_a_photographs_own_focal_length_scales_its_depth(tmp_path, shape):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 27
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    said, quiet = [], []
    scaled = depth_of(tmp_path, Lens(), said)
    plain = depth_of(tmp_path, Lens(exif=False), quiet)
    focal_px = 27 * 80 / np.hypot(36, 24)
    assert np.median(scaled / plain) == pytest.approx(focal_px / 50, rel=1e-4)
    assert any("27 mm" in line and "--no-exif-focal" in line for line in said)
    assert not any("EXIF" in line for line in quiet)
    given = depth_of(tmp_path, Lens(focal_px=50.0), said)
    assert np.median(given / plain) == pytest.approx(1, rel=1e-4), "what the user says stands over it"
