"""Images and folders in; colour pictures, millimetre PNGs and float arrays out."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .atomic import atomic_path, make_folder, write_bytes
from .colorize import Colormap, colorize, depth_range, with_scale
from .errors import LightDepthError
from .estimator import DepthEstimator
from .images import IMAGE_SUFFIXES, import_cv2, read_image

__all__ = ["SAVE_KINDS", "ImageJob", "encode_png", "infer_files", "parse_save", "plan_jobs", "save_depth"]

SAVE_KINDS = ("png", "png16", "npy")
LARGEST_MM = 65535


@dataclass(frozen=True)
class ImageJob:
    """One image and the name its outputs begin with."""

    path: Path
    stem: str


def parse_save(text: str) -> frozenset[str]:
    """Read `png,png16,npy`.

    Raises:
        LightDepthError: an unknown kind, or none.
    """
    kinds = frozenset(kind.strip() for kind in text.split(",") if kind.strip())
    unknown = sorted(kinds.difference(SAVE_KINDS))
    if unknown or not kinds:
        raise LightDepthError(f"--save takes {', '.join(SAVE_KINDS)} separated by commas, got {text!r}.")
    return kinds


def plan_jobs(inputs: Sequence[Path]) -> list[ImageJob]:
    """List the images of files and folders (recursively) with output names that never collide.

    An image's stem names its outputs. Where two images share a stem, the suffix is added (`a_jpg`), and where that is
    not enough, the folders too (`left_a_jpg`), and at last a number.

    Raises:
        LightDepthError: an input that doesn't exist, or a folder without images.
    """
    paths = list(dict.fromkeys(path.resolve() for item in inputs for path in _images_of(item)))
    names = [
        [
            path.stem,
            f"{path.stem}_{path.suffix.lower()[1:]}",
            "_".join((*path.parts[-3:-1], path.stem, path.suffix[1:])),
        ]
        for path in paths
    ]
    taken: set[str] = set()
    jobs = []
    counts = [Counter(choice[level].lower() for choice in names) for level in range(3)]
    for path, choices in zip(paths, names, strict=True):
        stem = next((c for level, c in enumerate(choices) if counts[level][c.lower()] == 1), choices[-1])
        number = 2
        unique = stem
        while unique.lower() in taken:
            unique, number = f"{stem}_{number}", number + 1
        taken.add(unique.lower())
        jobs.append(ImageJob(path, unique))
    return jobs


def infer_files(
    estimator: DepthEstimator,
    jobs: Sequence[ImageJob],
    output: Path,
    *,
    save: Iterable[str] = SAVE_KINDS,
    colormap: Colormap = "plasma",
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[Sequence[ImageJob]], Iterable[ImageJob]] = iter,
) -> list[Path]:
    """Estimate depth of each image and write the kinds asked for; returns what was written.

    A damaged image is reported by `say` and left out; the others are done.

    Raises:
        LightDepthError: the folder can't be written, or at the end, that some images failed.
    """
    make_folder(output)
    written: list[Path] = []
    failures: list[str] = []
    for job in progress(jobs):
        try:
            depth_m = estimator(read_image(job.path))
        except LightDepthError as error:
            failures.append(str(error))
            if len(jobs) > 1:
                say(f"Left out: {error}")
            continue
        written += save_depth(depth_m, output, job.stem, save=save, colormap=colormap)
    if failures and len(jobs) == 1:
        raise LightDepthError(failures[0])
    if failures:
        raise LightDepthError(
            f"{len(failures)} of {len(jobs)} images failed, the others are in {output}: {failures[0]}"
        )
    return written


def save_depth(
    depth_m: NDArray[np.float32], output: Path, stem: str, *, save: Iterable[str], colormap: Colormap
) -> list[Path]:
    """Write `STEM_depth.png` (colour with scale), `STEM_depth_mm.png` (16-bit) and `STEM_depth.npy` (float32 metres).

    Millimetres are rounded to the nearest and clipped to 65535.
    """
    written = []
    if "png" in save:
        near_m, far_m = depth_range(depth_m)
        picture = with_scale(colorize(depth_m, colormap, near_m, far_m), colormap, near_m, far_m)
        written.append(output / f"{stem}_depth.png")
        write_bytes(written[-1], encode_png(picture[:, :, ::-1]))
    if "png16" in save:
        written.append(output / f"{stem}_depth_mm.png")
        write_bytes(written[-1], encode_png(np.clip(np.rint(depth_m * 1000), 0, LARGEST_MM).astype(np.uint16)))
    if "npy" in save:
        written.append(output / f"{stem}_depth.npy")
        with atomic_path(written[-1]) as temporary:
            np.save(temporary, depth_m)
    return written


def encode_png(image: NDArray[np.generic]) -> bytes:
    """Encode BGR uint8 (H, W, 3) or uint16 (H, W) as PNG."""
    done, content = import_cv2().imencode(".png", np.ascontiguousarray(image))
    assert done, f"OpenCV can't encode {image.dtype} {image.shape} as PNG"
    return content.tobytes()


def _images_of(item: Path) -> list[Path]:
    if item.is_dir():
        images = sorted(p for p in item.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not images:
            raise LightDepthError(f"{item} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}).")
        return images
    if not item.exists():
        raise LightDepthError(f"No image or folder at {item}.")
    return [item]
