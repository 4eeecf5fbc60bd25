import importlib.util
import sys
from pathlib import Path

import pytest

from lightdepth.prepare.pack import pack_data
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "loader.py"


@pytest.fixture(scope="module")
def loader():
    spec = importlib.util.spec_from_file_location("loader_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their types up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def kinds(loader, tum, tmp_path):
    pack_data(tum, tmp_path / "packed")
    plain, packed = loader._both_splits(tum), loader._both_splits(tmp_path / "packed")
    return loader.build(plain, packed, ModelSpec("loader", 64, 96, parameters=0)), len(plain)


def test_all_loaders_end_in_the_same_tensors(loader, kinds):
    loader.check_same(*kinds)


@pytest.mark.parametrize(("kind", "message"), [("packed", "Packed and plain differ"), ("report", "not be fair")])
def test_a_loader_with_other_tensors_is_not_timed(loader, kinds, kind, message):
    read = kinds[0][kind]
    spoiled = {**kinds[0], kind: lambda keys: (batch := read(keys))._replace(image=batch.image + 0.2)}
    with pytest.raises(LightDepthError, match=message):
        loader.check_same(spoiled, kinds[1])


def test_cores_memory_and_disk_are_calculated_from_what_was_measured(loader):
    measured = {
        "kinds": [
            {"kind": "plain", "samples_per_s_per_core": 120.0},
            {"kind": "packed", "samples_per_s_per_core": 260.0},
        ],
        "plain_bytes_per_frame": 1e5,
        "packed_bytes_per_frame": 1e6,
        "process_memory_gb": 0.5,
    }
    needs = loader.calculate(measured, (480, 640))
    batch_gb = 8 * 4 * 480 * 640 * 4 / 1e9
    assert needs["packed"]["workers"] == 2
    assert needs["packed"]["processes_gb"] == pytest.approx(3 * 0.5 + 2 * 2 * batch_gb)
    assert needs["packed"]["set_on_disk_gb"] == pytest.approx(50.688)
    missing = 1 - (32 - needs["packed"]["processes_gb"]) / 50.688
    assert needs["packed"]["disk_mb_per_s"] == pytest.approx(500 * missing)
    assert needs["plain"]["workers"] == 5
    assert needs["plain"]["cached_share"] == 1
    assert needs["plain"]["fits"]
