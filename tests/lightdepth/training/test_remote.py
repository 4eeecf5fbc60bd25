"""Training from an S3 server on loopback: the weights of a training from disk, whatever the network does."""

import json
import os
import signal
import subprocess
import sys
import time

import fsspec
import pytest
import s3fs
import torch
from fakes.s3 import serve_s3
from packagings import TUM
from safetensors.torch import load_file

from lightdepth.config import load_config
from lightdepth.prepare import pack
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs, remote

TINY = (
    "encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]", "image_height=64", "image_width=96",
    "epochs=2", "batch_size=2", "passes_per_epoch=2", "num_workers=0", "num_threads=1", "precision=fp32",
    "val_fraction=0", "shuffle_shards=1",
)  # fmt: skip
URL = "s3://bucket/packed"
SHARD_BYTES = 160 * 120 * 5
SMALL_CACHE_GB = 3.1 * SHARD_BYTES / 1e9  # of a set of four


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The four training pairs in a shard each."""
    folder = tmp_path_factory.mktemp("data") / "packed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "PAIRS_PER_SHARD", 1)
        pack.pack_data(TUM, folder)
    return folder


@pytest.fixture(scope="module")
def from_disk(packed, tmp_path_factory):
    """The weights of a training from disk."""
    return weights(train(settings(packed), tmp_path_factory.mktemp("runs") / "disk").path)


@pytest.fixture(scope="module")
def server(packed):
    with serve_s3() as server:
        server.upload(packed)
        yield server


@pytest.fixture
def s3(server, packed, monkeypatch):
    """The server with the packed pairs, whole again after each test."""
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 1}})
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # its own tries, before ours
    monkeypatch.setattr(remote, "_FIRST_WAIT_S", 0.01)
    server.asked.clear()
    yield server
    server.faults = {}
    server.upload(packed)


def settings(data, *overrides):
    return load_config(None, [*TINY, f"data_root={data}", *overrides])


def weights(folder):
    return load_file(folder / "last.safetensors")


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def cache_of(tmp_path, gb=SMALL_CACHE_GB):
    return (f"shard_cache={tmp_path / 'cache'}", f"shard_cache_gb={gb}")


@pytest.mark.slow
def test_weights_are_those_from_disk_with_a_cache_smaller_than_the_set(s3, packed, from_disk, tmp_path):
    run = train(settings(URL, *cache_of(tmp_path)), tmp_path / "run")
    assert_equal(weights(run.path), from_disk)
    shards = list((tmp_path / "cache").glob("*.bin"))
    assert 0 < len(shards) <= 3
    assert sum(count for name, count in s3.asked.items() if name.endswith(".bin")) > 4  # one came again


@pytest.mark.slow
def test_time_outs_and_cut_and_refused_answers_are_tried_again(s3, packed, from_disk, tmp_path):
    s3.faults = {
        "packed.json": ["refuse"],
        "train-00000.bin": ["stall"],
        "train-00001.bin": ["cut"],
        "train-00002.bin": ["refuse", "cut", "refuse"],
    }
    assert_equal(weights(train(settings(URL, *cache_of(tmp_path)), tmp_path / "run").path), from_disk)
    assert not any(s3.faults.values())


def test_a_changed_shard_is_named_and_never_trained_on(s3, packed, tmp_path):
    content = bytearray((packed / "train-00002.bin").read_bytes())
    content[1000] ^= 1
    s3.put("train-00002.bin", bytes(content))
    with pytest.raises(LightDepthError, match=r"^s3://bucket/packed/train-00002.bin .* SHA-256 .* upload") as caught:
        train(settings(URL, *cache_of(tmp_path)), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_missing_shard_is_named(s3, packed, tmp_path):
    s3.delete("train-00003.bin")
    with pytest.raises(LightDepthError, match=r"^There is no s3://bucket/packed/train-00003.bin"):
        train(settings(URL, *cache_of(tmp_path)), tmp_path / "run")


def test_a_shard_that_never_comes_is_named_after_the_last_try(s3, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_TRIES", 2)
    s3.faults = {"train-00001.bin": ["cut"] * 1000}
    with pytest.raises(LightDepthError, match=r"train-00001.bin in 2 tries"):
        train(settings(URL, *cache_of(tmp_path)), tmp_path / "run")


def test_a_cache_that_would_fetch_everything_again_and_again_is_refused(s3, packed, tmp_path):
    with pytest.raises(LightDepthError, match=r"shuffle_shards 2 needs 4 at a time.*; raise"):
        train(settings(URL, *cache_of(tmp_path), "shuffle_shards=2"), tmp_path / "run")


@pytest.mark.slow
def test_a_set_that_was_packed_anew_is_not_resumed(s3, packed, tmp_path, tum_copy, monkeypatch):
    config = settings(URL, *cache_of(tmp_path))
    train(config, tmp_path / "run")
    one, other, *_ = load_pairs(tum_copy, "train").pairs
    one.color_path.write_bytes(other.color_path.read_bytes())
    monkeypatch.setattr(pack, "PAIRS_PER_SHARD", 1)
    pack.pack_data(tum_copy, tmp_path / "other")
    s3.upload(tmp_path / "other")
    with pytest.raises(LightDepthError, match="pairs are not those this run began with"):
        train(config, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_a_killed_training_with_workers_goes_on_to_the_same_weights(s3, packed, from_disk, tmp_path):
    config = settings(URL, *cache_of(tmp_path), "num_workers=2")
    (tmp_path / "config.yaml").write_text(json.dumps(config.model_dump()))
    command = [sys.executable, "-m", "lightdepth", "train", "--output", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen([*command, "--config", str(tmp_path / "config.yaml")], env=environment)
    state, end = tmp_path / "run" / "state" / "epoch-0001", time.monotonic() + 240
    while not state.exists():
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    subprocess.run([*command, "--resume"], env=environment, check=True, timeout=300)
    assert_equal(weights(tmp_path / "run"), from_disk)
