"""The parts of a frame that published protocols score."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FULL_SIZE", "Crop", "crop_slices", "fastdepth_indices"]

Crop = Literal["eigen", "densedepth", "fastdepth", "garg", "eigen-kitti", "none"]

FULL_SIZE = (480, 640)  # NYU Depth V2's frames, in rows and columns
# Top, bottom, left and right, as shares of the frame.
_SHARES: dict[str, tuple[float, float, float, float]] = {
    "eigen": (45 / 480, 471 / 480, 41 / 640, 601 / 640),  # Eigen et al. 2014, as in the code of BTS and AdaBins
    "densedepth": (20 / 480, 460 / 480, 24 / 640, 616 / 640),  # eigen_test_crop.npy of DenseDepth
    # KITTI's, as in monodepth's evaluate_kitti.py and BTS's bts_test.py: Garg et al. 2016, and Eigen et al. 2014.
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "eigen-kitti": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
}
_TRUNCATED = frozenset({"garg", "eigen-kitti"})  # that code casts to int where this project rounds
# fast-depth, dataloaders/nyu.py: shrink to 250 rows, take the centre, shrink again; all by nearest neighbour.
FASTDEPTH_SHRUNK, FASTDEPTH_CENTRE, FASTDEPTH_SIZE = (250, 333), (228, 304), (224, 224)
FASTDEPTH_CORNER = (11, 14)


def crop_slices(crop: Crop, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of a (height, width) frame that a crop keeps; whole frames for those without one."""
    if crop not in _SHARES:
        return slice(None), slice(None)
    whole = int if crop in _TRUNCATED else round
    top, bottom, left, right = _SHARES[crop]
    return slice(whole(top * height), whole(bottom * height)), slice(whole(left * width), whole(right * width))


@lru_cache(maxsize=1)
def fastdepth_indices() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of 480x640 that remain after two resizes by nearest neighbour and the crop."""
    indices = []
    for full, shrunk, centre, size, corner in zip(
        FULL_SIZE, FASTDEPTH_SHRUNK, FASTDEPTH_CENTRE, FASTDEPTH_SIZE, FASTDEPTH_CORNER, strict=True
    ):
        first = _nearest(full, shrunk)[corner : corner + centre]
        indices.append(first[_nearest(centre, size)])
    return indices[0], indices[1]


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    """Return the source index of each target pixel's centre, as PIL's nearest neighbour takes it: ties by its sums."""
    step = source / target
    return np.cumsum([step / 2, *[step] * (target - 1)]).astype(np.intp)
