"""How much less does steady depth flicker, is it as right, and what does it cost?

Usage: python benchmarks/steady.py [MODEL] --data LIST [--protocol none] [--rounds 5] [--json FILE]

LIST holds consecutive frames (TUM freiburg1_rpy). Plain and steady depth of the same frames are scored as `lightdepth
eval --sequence` does; then both are timed on one thread, taking turns, and the median ratio is printed. A camera that
drives ahead is imitated by enlarging one frame by 1 % from frame to frame: how far steady depth lags behind. Last, the
least flicker that a filter can have: that of depth which only moves with the picture, measured in the same way.
"""

import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.protocol import Protocol, get_protocol
from lightdepth_runtime.evaluation.sequence import evaluate_sequence, flicker
from lightdepth_runtime.frames.motion import MotionSensor
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.pairs import PairSet, load_pairs
from lightdepth_runtime.progress import track
from lightdepth_runtime.steady import SteadyDepth

ZOOM = 1.01  # a frame: at 30 frames a second what is 3 m ahead comes nearer by 0.9 m a second
ZOOMED_FRAMES = 30
FRAME_NS = 33_333_333


def cost(estimator: DepthEstimator, pairs: PairSet, rounds: int) -> dict[str, float]:
    """Return the processor time of both (medians in ms) and the median of their ratios, frame by frame.

    Processor time, so that other work on the machine doesn't count; on one thread it is the latency of an idle one.
    """
    images = [pair.read().image for pair in pairs.pairs]
    steady = SteadyDepth(estimator)
    plain_ms, steady_ms = [], []
    estimator.warm_up()
    for turn in range(rounds):
        for number, image in enumerate(images):
            start = time.process_time()
            estimator(image)
            middle = time.process_time()
            steady(image, (turn * len(images) + number) * FRAME_NS)
            end = time.process_time()
            plain_ms.append((middle - start) * 1e3)
            steady_ms.append((end - middle) * 1e3)
    ratio = np.array(steady_ms) / np.array(plain_ms)
    return {
        "plain_cpu_ms_p50": float(np.median(plain_ms)),
        "steady_cpu_ms_p50": float(np.median(steady_ms)),
        "ratio_p50": float(np.median(ratio)),
        "frames": len(ratio),
    }


def lag(estimator: DepthEstimator, pairs: PairSet) -> dict[str, float]:
    """Return how much farther steady depth is than plain depth while the scene comes nearer, as medians of logarithms.

    The scene comes nearer by `approach` a frame; plain depth follows as well as the network does.
    """
    image = pairs.pairs[0].read().image
    height, width = image.shape[:2]
    steady = SteadyDepth(estimator)
    behind = []
    for number in range(ZOOMED_FRAMES):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, ZOOM**number)
        zoomed = np.asarray(cv2.warpAffine(image, matrix, (width, height)), np.uint8)
        behind.append(float(np.median(np.log(steady(zoomed, number * FRAME_NS)) - np.log(estimator(zoomed)))))
    return {"approach": float(np.log(ZOOM)), "frames": ZOOMED_FRAMES, "lag": float(np.mean(behind[10:]))}


def carried_flicker(estimator: DepthEstimator, pairs: PairSet, protocol: Protocol) -> dict[str, float]:
    """Return the flicker of each frame's depth beside itself, moved by optical flow to the next frame.

    Nothing in it changes but its place, so no depth that follows the picture flickers less by this measure.
    """
    sensor = MotionSensor()
    older: tuple[np.ndarray, np.ndarray] | None = None  # truth and depth of the frame before, in metres
    changes = []
    for pair in pairs.pairs:
        frame = pair.read()
        truth_m = np.where(protocol.valid(frame.depth_m), frame.depth_m, 0).astype(np.float32)
        motion = sensor.update(frame.image)
        if older is not None and motion is not None:
            [moved], _ = motion.bring(np.log(older[1]))
            both, truths_m = (older[1], np.exp(moved)), (older[0], truth_m)
            value, with_edges = flicker(both, truths_m), flicker(both, truths_m, with_edges=True)
            if value is not None and with_edges is not None:
                changes.append((value, with_edges))
        older = truth_m, resize_depth(estimator(frame.image), *truth_m.shape)
    value, with_edges = np.mean(changes, axis=0).tolist()
    return {"carried_flicker": value, "carried_flicker_with_edges": with_edges}


def main(
    data: Annotated[Path, typer.Option(help="Consecutive RGB-D pairs.")],
    model: Annotated[Path | None, typer.Argument(help="A model file. Default: the shipped model.")] = None,
    split: Annotated[str, typer.Option(help="Default: test.")] = "test",
    protocol: Annotated[str, typer.Option(help="Default: none.")] = "none",
    rounds: Annotated[int, typer.Option(min=1, help="Of timing. Default: 5.")] = 5,
    json: Annotated[Path | None, typer.Option(help="Default: none is written.")] = None,
) -> None:
    """Print scores, cost and lag; write the JSON where asked."""
    pairs = load_pairs(data, split)
    with DepthEstimator.load(model, "cpu", 1) as estimator:
        result = evaluate_sequence(
            estimator, pairs, get_protocol(protocol), progress=lambda items: track(items, "Scoring", len(items))
        )
        times, behind = cost(estimator, pairs, rounds), lag(estimator, pairs)
        least = carried_flicker(estimator, pairs, get_protocol(protocol))
    for name, score in (("plain", result.plain), ("steady", result.steady)):
        print(f"{name}: flicker {score.flicker:.4f}, AbsRel {score.abs_rel:.4f}, delta1 {score.delta1:.3f}")
    print(
        f"flicker {result.steady.flicker / result.plain.flicker:.2f} of plain; time {times['ratio_p50']:.3f} of plain"
    )
    print(f"flicker of depth that only moves with the picture: {least['carried_flicker']:.4f}")
    print(f"lag {behind['lag']:.3f} while the scene comes nearer by {behind['approach']:.3f} a frame")
    if json:
        content = {
            **result.to_dict(),
            "cost": times,
            "lag": behind,
            **least,
            "machine": describe_machine().to_dict(),
        }
        write_json(json, content)


if __name__ == "__main__":
    typer.run(main)
