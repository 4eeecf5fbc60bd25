import pytest
import typer

from lightdepth_runtime.cli.options import DEVICES
from lightdepth_runtime.cli.parsers import device_parser


@pytest.mark.parametrize("device", [*DEVICES, "cuda:0", "cuda:1"])
def test_every_gpu_has_a_name(device):
    assert device_parser(*DEVICES)(device) == device


@pytest.mark.parametrize(("device", "words"), [("gpu", "'gpu' is not one of auto, cpu"), ("cuda:x", "cuda:N")])
def test_any_other_name_is_a_wrong_argument(device, words):
    with pytest.raises(typer.BadParameter, match=words):
        device_parser(*DEVICES)(device)
