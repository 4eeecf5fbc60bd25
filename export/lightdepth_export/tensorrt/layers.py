"""Proof of precision: in which precision each convolution of an engine was planned."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import Precision

__all__ = [
    "LayerReport",
    "PlannedLayer",
    "check_precision",
    "layers_from_inspector",
    "layers_from_log",
    "report_layers",
]

_WANTED = {"fp32": "Float", "fp16": "Half", "int8": "Int8"}
_WIDEST_FIRST = ("Float", "Half", "Int8")
# Layers around a convolution that only move, cast or rescale its data: they prove nothing about its arithmetic.
_MOVING = re.compile(r"kgen|reformat|noop|constant|shuffle|cast|scale|pointwise|quantize", re.IGNORECASE)
_ROW = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]+), Inputs: \[(?P<inputs>.*?)\], (?:Constants|Outputs)"
)
_DATATYPE = re.compile(r"Datatype: (\w+)")
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]\x1e\x1f]+)\]")
# How TensorRT words a type: alone ("Half"), or inside a format ("Channel major FP16 format ...") in 10.x.
_WORDINGS = (("Half", r"half|fp16"), ("Int8", r"int8"), ("Float", r"float|fp32"))


@dataclass(frozen=True)
class PlannedLayer:
    """One layer of an engine: its inputs' types, and the ONNX nodes that were fused into it."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    onnx_nodes: frozenset[str]


@dataclass(frozen=True)
class LayerReport:
    """The precision of each ONNX convolution, "unknown" if it was not found."""

    convolutions: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Count the convolutions by precision."""
        return dict(Counter(self.convolutions.values()))

    def other_than(self, precision: Precision) -> list[str]:
        """Name the convolutions of another precision."""
        return [name for name, kind in self.convolutions.items() if kind != _WANTED[precision]]


def report_layers(layers: Iterable[PlannedLayer], convolutions: Collection[str]) -> LayerReport:
    """Find the precision of every convolution of the network.

    Args:
        layers: what was planned.
        convolutions: names of the network's convolutions.

    Raises:
        LightDepthError: no layers, or no convolutions, so nothing can be shown.
    """
    rows = list(layers)
    if not rows or not convolutions:
        raise LightDepthError(
            f"The precision of this engine can't be shown: TensorRT described {len(rows)} layers for "
            f"{len(convolutions)} convolutions. Its description may have changed; report the TensorRT version, or use "
            "a tested one."
        )
    return LayerReport({name: _precision_of(name, rows) for name in convolutions})


def check_precision(report: LayerReport, precision: Precision, *, keep: Collection[str] = ()) -> None:
    """Refuse an engine whose convolutions were not planned in the precision that was asked for.

    Args:
        report: of the engine.
        precision: what every convolution must be.
        keep: convolutions that may be of another precision.

    Raises:
        LightDepthError: names each convolution of another precision.
    """
    wrong = [name for name in report.other_than(precision) if name not in keep]
    if wrong:
        names = ", ".join(f"{name} ({report.convolutions[name]})" for name in wrong)
        raise LightDepthError(
            f"{len(wrong)} of {len(report.convolutions)} convolutions are not {_WANTED[precision]} in this {precision} "
            f"engine: {names}; export the ONNX file again in {precision}, or report the TensorRT version."
        )
    if not any(kind == _WANTED[precision] for kind in report.convolutions.values()):
        raise LightDepthError(f"No convolution of this {precision} engine is {_WANTED[precision]}: nothing is proven.")


def layers_from_log(lines: Iterable[str]) -> list[PlannedLayer]:
    """Parse the builder's lines of layer information, passing over those of another form."""
    return [
        PlannedLayer(row["name"], row["kind"].strip(), tuple(_DATATYPE.findall(row["inputs"])), _onnx_nodes(line))
        for line in lines
        if (row := _ROW.search(line))
    ]


def layers_from_inspector(text: str) -> list[PlannedLayer]:
    """Parse the engine inspector's JSON of a detailed engine; entries that are bare names are passed over.

    Raises:
        LightDepthError: not JSON.
    """
    try:
        entries = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError) as error:
        raise LightDepthError(
            f"The engine inspector's answer can't be read ({error}); use a tested TensorRT."
        ) from error
    layers = []
    for entry in entries:
        if isinstance(entry, dict):
            tensors = [tensor for tensor in entry.get("Inputs", []) if isinstance(tensor, dict)]
            inputs = tuple(_word(str(t.get("Datatype") or t.get("Format/Datatype") or "")) for t in tensors)
            # TensorRT's own kernels report every convolution as CaskConvolution or the like, fused ones by a parameter.
            kind = str(entry.get("ParameterType") or entry.get("LayerType", ""))
            nodes = _onnx_nodes(str(entry.get("Metadata", "")))
            layers.append(PlannedLayer(str(entry.get("Name", "")), kind, inputs, nodes))
    return layers


def _precision_of(convolution: str, layers: list[PlannedLayer]) -> str:
    """Return the type of the convolution's own input; the widest where several layers compute it."""
    rows = [layer for layer in layers if convolution in layer.onnx_nodes and layer.inputs]
    rows = rows or [layer for layer in layers if convolution in re.split(r" \+ |\|\|", layer.name) and layer.inputs]
    computing = [layer for layer in rows if not _MOVING.search(layer.kind)] or rows
    found = {layer.inputs[0] for layer in computing}
    return next((kind for kind in _WIDEST_FIRST if kind in found), "unknown")


def _onnx_nodes(text: str) -> frozenset[str]:
    return frozenset(_ONNX_LAYER.findall(text))


def _word(text: str) -> str:
    return next((word for word, pattern in _WORDINGS if re.search(pattern, text, re.IGNORECASE)), text or "unknown")
