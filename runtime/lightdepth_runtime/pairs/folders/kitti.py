"""KITTI's depth prediction set: sparse laser depth as 16-bit PNG, 256 a metre, beside rectified drives."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ...spec import Intrinsics
from ..depth_unit import NAMED_UNITS, DepthUnit
from .camera_files import camera_of_matrix, faults_named
from .color_depth import files_of
from .matching import match_files
from .recording import Recording, make_pairs

__all__ = ["KITTI", "find_kitti"]

KITTI = "KITTI"
_TRUTH = "proj_depth/groundtruth"
_CAMERAS = ("image_02", "image_03")
_PNG = frozenset({".png"})
_IMAGES = frozenset({".png", ".jpg"})


def find_kitti(root: Path, folder: Path, unit: DepthUnit | None) -> Recording | None:
    """Return the pairs of one drive, or of the official selection (`image/`, `groundtruth_depth/`).

    A drive's images are looked for in itself (`image_02/data`), and under its date in `root`, in `root/raw` and beside
    `root`, where the raw download unpacks them.
    """
    unit = unit or NAMED_UNITS["kitti"]
    if (folder / "groundtruth_depth").is_dir() and (folder / "image").is_dir():
        return _selection(root, folder, unit)
    if not (folder / _TRUTH).is_dir():
        return None
    pairs, alone = [], 0
    for camera_name in _CAMERAS:
        truth_folder = folder / _TRUTH / camera_name
        truths = sorted(files_of(truth_folder, _PNG)) if truth_folder.is_dir() else []
        image_folder = _images_of(root, folder, camera_name)
        if not truths or image_folder is None:
            alone += len(truths)
            continue
        images = {path.stem: path for path in files_of(image_folder, _IMAGES)}
        files = [(images[path.stem], path) for path in truths if path.stem in images]
        alone += len(truths) - len(files)
        if files:
            camera = _rectified_camera(image_folder, camera_name)
            base = root if files[0][0].is_relative_to(root) else image_folder.parents[2]
            pairs += [replace(pair, scene=folder.name) for pair in make_pairs(base, base, files, unit, camera)]
    return Recording(KITTI, pairs, "equal names", alone) if pairs else None


def _selection(root: Path, folder: Path, unit: DepthUnit) -> Recording | None:
    """Match `..._image_0000000008_image_02.png` with `..._groundtruth_depth_0000000008_image_02.png`."""
    matches = match_files(files_of(folder / "image", _PNG), files_of(folder / "groundtruth_depth", _PNG))
    if matches is None:
        return None
    pairs = []
    for color, depth in matches.pairs:
        matrix = folder / "intrinsics" / f"{color.stem}.txt"
        camera = camera_of_matrix(matrix, color) if matrix.is_file() else None
        pairs += make_pairs(root, folder, [(color, depth)], unit, camera)
    return Recording(KITTI, pairs, matches.rule, matches.alone)


def _images_of(root: Path, drive: Path, camera: str) -> Path | None:
    date = drive.name[:10]  # 2011_09_26_drive_0002_sync
    homes = [drive, *(base / date / drive.name for base in (root, root / "raw", root.parent, root.parent / "raw"))]
    return next((home / camera / "data" for home in homes if (home / camera / "data").is_dir()), None)


@lru_cache(maxsize=64)
def _calibration(path: Path) -> dict[str, tuple[float, ...]]:
    rows = (line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    return {key: tuple(map(float, text.split())) for key, text in rows if key.startswith(("P_rect", "S_rect"))}


def _rectified_camera(image_folder: Path, camera: str) -> Intrinsics | None:
    """Read `P_rect_02` of the date's `calib_cam_to_cam.txt`, where it was downloaded too."""
    path = image_folder.parents[2] / "calib_cam_to_cam.txt"
    if not path.is_file():
        return None
    number = camera.removeprefix("image_")
    with faults_named(path, "calibration as KITTI writes it"):
        rows = _calibration(path)
        matrix, size = rows.get(f"P_rect_{number}"), rows.get(f"S_rect_{number}")
        if matrix is None or size is None:
            return None
        return Intrinsics(matrix[0], matrix[5], matrix[2], matrix[6], int(size[0]), int(size[1]))
