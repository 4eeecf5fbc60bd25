"""What a look at RGB-D pairs tells, of each and of a split: sizes, depth in metres, holes, how well edges agree."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.decode import read_bytes
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.pairs import FrameData, Pair, PairSet
from lightdepth_runtime.pairs.depth_unit import SATURATED_8BIT, SATURATED_16BIT, decode_depth
from lightdepth_runtime.pairs.file_pair import FilePair

__all__ = ["MAX_SHIFT", "PairFacts", "SplitFacts", "edge_agreement", "look_at", "summarise"]

THUMBNAIL = (32, 24)  # width, height: what near duplicates are compared by
EDGE_WIDTH = 160
MAX_SHIFT = 6  # in pixels of EDGE_WIDTH: 24 pixels of a frame 640 wide
SATURATED_COLOR = 250
# Depth steps of 3 % between neighbours at EDGE_WIDTH are outlines; smaller ones are slopes and noise.
SMALLEST_STEP = 0.03


@dataclass(frozen=True)
class PairFacts:
    """One readable pair. Shares are of all pixels; depth in metres; `median_m` is 0 without a reading."""

    name: str
    scene: str
    width: int
    height: int
    bits: int | None
    median_m: float
    least_m: float
    most_m: float
    holes: float
    saturated_depth: float
    saturated_color: float
    color_spread: float  # standard deviation of the grey values
    color_hash: str
    depth_hash: str
    thumbnail: NDArray[np.float32]  # (768,) zero mean, unit length
    edges: NDArray[np.float32]  # (2 MAX_SHIFT + 1, 2 MAX_SHIFT + 1) correlation of depth's and colour's edges by shift


@dataclass(frozen=True)
class SplitFacts:
    """What one split is; medians and extremes of depth in metres, shares of pixels."""

    split: str
    packaging: str
    pairs: int
    read: int
    scenes: int
    median_m: float
    least_m: float
    most_m: float
    holes: float
    saturated_depth: float
    sizes: dict[str, int]
    bits: dict[str, int]
    edge_agreement: float
    edge_shift_px: tuple[float, float]
    focal_px: tuple[float, float] | None
    depth_unit: str

    def line(self) -> str:
        """Say it in one line."""
        sizes = ", ".join(f"{size} ({count})" for size, count in self.sizes.items())
        bits = ", ".join(f"{bits}-bit ({count})" for bits, count in self.bits.items())
        focal = f", focal length {self.focal_px[0]:.1f}, {self.focal_px[1]:.1f} px" if self.focal_px else ""
        scenes = f"{self.scenes} scene{'s' * (self.scenes != 1)}"
        return (
            f"{self.split}: {self.packaging}, {self.read} of {self.pairs} pairs read, {scenes}, {sizes}, "
            f"depth {bits or 'as stored'} {self.depth_unit}, "
            f"median {self.median_m:.2f} m ({self.least_m:.2f} to {self.most_m:.2f}), "
            f"holes {self.holes:.1%}, saturated {self.saturated_depth:.1%}, "
            f"edges agree {self.edge_agreement:.2f}{focal}"
        )


def look_at(pair: Pair) -> PairFacts | str:
    """Read a pair and note what can be checked about it; return what is wrong with one that can't be read."""
    try:
        frame, (bits, saturated, color_hash, depth_hash) = _read(pair)
    except LightDepthError as error:
        return str(error)
    cv2 = import_cv2()
    known = frame.depth_m > 0
    readings = frame.depth_m[known]
    grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(grey, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    thumbnail -= thumbnail.mean()
    return PairFacts(
        name=pair.name,
        scene=pair.scene,
        width=frame.image.shape[1],
        height=frame.image.shape[0],
        bits=bits,
        median_m=float(np.median(readings)) if readings.size else 0.0,
        least_m=float(readings.min()) if readings.size else 0.0,
        most_m=float(readings.max()) if readings.size else 0.0,
        holes=1 - readings.size / known.size,
        saturated_depth=saturated,
        saturated_color=cv2.countNonZero(cv2.inRange(frame.image, (SATURATED_COLOR,) * 3, (255,) * 3)) / known.size,
        color_spread=float(cv2.meanStdDev(grey)[1].item()),
        color_hash=color_hash,
        depth_hash=depth_hash,
        thumbnail=thumbnail / max(float(np.linalg.norm(thumbnail)), 1e-6),
        edges=edge_agreement(grey, frame.depth_m),
    )


def summarise(pairs: PairSet, facts: Sequence[PairFacts]) -> SplitFacts:
    """Add up what the pairs of a split are."""
    with_depth = [fact for fact in facts if fact.median_m > 0]
    edges = np.mean([fact.edges for fact in facts], axis=0)
    row, column = np.unravel_index(int(edges.argmax()), edges.shape)
    scale = float(np.median([fact.width for fact in facts])) / EDGE_WIDTH
    camera = pairs.intrinsics
    return SplitFacts(
        split=pairs.split,
        packaging=pairs.packaging,
        pairs=len(pairs),
        read=len(facts),
        scenes=len({fact.scene for fact in facts}),
        median_m=float(np.median([fact.median_m for fact in with_depth])) if with_depth else 0.0,
        least_m=min((fact.least_m for fact in with_depth), default=0.0),
        most_m=max((fact.most_m for fact in with_depth), default=0.0),
        holes=float(np.mean([fact.holes for fact in facts])),
        saturated_depth=float(np.mean([fact.saturated_depth for fact in facts])),
        sizes=dict(Counter(f"{fact.width}x{fact.height}" for fact in facts).most_common()),
        bits=dict(Counter(str(fact.bits) for fact in facts if fact.bits).most_common()),
        edge_agreement=float(edges[MAX_SHIFT, MAX_SHIFT]),
        edge_shift_px=((float(column) - MAX_SHIFT) * scale, (float(row) - MAX_SHIFT) * scale),
        focal_px=(camera.fx, camera.fy) if camera else None,
        depth_unit=", ".join(sorted({pair.depth_unit or "of no declared unit" for pair in pairs.pairs})),
    )


def edge_agreement(grey: NDArray[np.uint8], depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlate the outlines of depth with the edges of colour, for depth shifted by up to MAX_SHIFT either way.

    Element [dy + MAX_SHIFT, dx + MAX_SHIFT] says how well the edges agree when depth is moved by (dx, dy) at a width
    of 160 pixels. A frame without outlines gives zeros.

    Args:
        grey: uint8 (H, W).
        depth_m: float32 (H, W), 0 where there is no reading.
    """
    cv2 = import_cv2()
    size = (EDGE_WIDTH, max(1, round(grey.shape[0] * EDGE_WIDTH / grey.shape[1])))
    color_edges = _steps(np.log1p(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)))
    depth = cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST)
    known = depth > 0
    outlines = _steps(np.log(np.where(known, depth, 1.0)).astype(np.float32))
    # A step into a hole is none: both neighbours need a reading.
    near_hole = cv2.dilate((~known).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outlines = ((outlines > SMALLEST_STEP) & ~near_hole).astype(np.float32)
    margin = MAX_SHIFT + 2  # white borders of recordings are edges of no thing
    inner = color_edges[margin:-margin, margin:-margin]
    if inner.size == 0 or inner.std() == 0:
        return np.zeros((2 * MAX_SHIFT + 1, 2 * MAX_SHIFT + 1), np.float32)
    # Element [i, j] of both is of the window at [i, j], which is depth moved by MAX_SHIFT - i and MAX_SHIFT - j.
    seen = outlines[margin - MAX_SHIFT : outlines.shape[0] - 2, margin - MAX_SHIFT : outlines.shape[1] - 2]
    return cv2.matchTemplate(seen, inner, cv2.TM_CCOEFF_NORMED)[::-1, ::-1]


def _steps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest step to the next pixel right or below, clipped: (h, w)."""
    across = np.abs(np.diff(values, axis=1, append=values[:, -1:]))
    down = np.abs(np.diff(values, axis=0, append=values[-1:]))
    return np.minimum(np.maximum(across, down), 1.0)


def _read(pair: Pair) -> tuple[FrameData, tuple[int | None, float, str, str]]:
    """Return the frame, with bits, share of saturated depth, and the hashes of colour and depth."""
    if not isinstance(pair, FilePair):
        frame = pair.read()
        return frame, (None, 0.0, _hash(frame.image.tobytes()), _hash(frame.depth_m.tobytes()))
    image, values = pair.read_stored()
    limit = SATURATED_8BIT if values.dtype == np.uint8 else SATURATED_16BIT
    saturated = float((values == limit).mean())
    content = read_bytes(pair.depth_path)
    facts = values.dtype.itemsize * 8, saturated, _hash(read_bytes(pair.color_path)), _hash(content)
    return FrameData(image, decode_depth(values, pair.unit)), facts


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
