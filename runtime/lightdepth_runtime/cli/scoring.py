"""Options that say how predictions are scored."""

from typing import Annotated, Literal

from .options import SCORING, option
from .parsers import parse_protocol

ProtocolName = Annotated[
    str | None,
    option(
        SCORING,
        parser=parse_protocol,
        metavar="NAME",
        help="Evaluation protocol: which pixels count and how they are averaged. One of "
        "eigen, none, bts, adabins, densedepth, guidedepth, fastdepth, garg, eigen-kitti, kitti. "
        "Default: the one that the packaging and the model's range imply (eigen for NYU Depth V2 and pair lists).",
    ),
]
CropName = Annotated[
    Literal["eigen", "densedepth", "fastdepth", "garg", "eigen-kitti", "none"] | None,
    option(
        SCORING,
        metavar="NAME",
        help="Score only this part of each frame: eigen, densedepth, fastdepth, garg, eigen-kitti or none. "
        "Default: the protocol's.",
    ),
]
MaxDepth = Annotated[
    float | None, option(SCORING, metavar="METRES", help="Score only truth nearer than this. Default: the protocol's.")
]
Average = Annotated[
    Literal["per-image", "pooled"] | None,
    option(
        SCORING,
        metavar="KIND",
        help="Average over images (per-image) or over all pixels (pooled). Default: the protocol's.",
    ),
]
Focal = Annotated[
    Literal["on", "off"],
    option(
        SCORING,
        metavar="on|off",
        help="Scale each prediction from the model's camera to the pair's, where both are known.",
    ),
]
Align = Annotated[
    Literal["none", "median", "scale-shift"],
    option(SCORING, metavar="KIND", help="Fit each prediction to its ground truth first: none, median or scale-shift."),
]
Tta = Annotated[bool, option(SCORING, "--tta", help="Average with the prediction of the mirrored image. Default: off.")]

Sequence = Annotated[
    bool,
    option(
        SCORING,
        "--sequence",
        help="Take the pairs for consecutive frames: score how much depth flickers, plain and with --steady's filter. "
        "Default: off.",
    ),
]
