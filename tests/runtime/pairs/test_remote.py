"""Packed pairs at a URL: read through the cache, and what goes wrong is one sentence."""

import hashlib
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.unit_suspects import warn_of_unit
from lightdepth_runtime.pairs import load_pairs, remote, shard, splits_of
from lightdepth_runtime.pairs.packed import PACKED_SCHEMA
from lightdepth_runtime.pairs.remote import url_of
from lightdepth_runtime.pairs.shard import RemoteShard, ShardCache

SHARDS, HEIGHT, WIDTH = 3, 4, 6
SHARD_BYTES = HEIGHT * WIDTH * 5


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def write_packed(folder):
    """Write a packed folder with a pair in each shard: images of one value, depth of 1000 times as many millimetres."""
    folder.mkdir()
    names = [f"test-{number:05d}" for number in range(SHARDS)]
    for number, name in enumerate(names):
        image = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        depth = np.full((HEIGHT, WIDTH), 1000 * number, "<u2")
        content = image.tobytes() + depth.tobytes()
        pair = {
            "name": name, "scene": "room", "offset": 0, "height": HEIGHT, "width": WIDTH, "depth_type": "uint16",
            "unit": "millimetres", "camera": None,
        }  # fmt: skip
        meta = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content), "cameras": {}}
        (folder / f"{name}.bin").write_bytes(content)
        (folder / f"{name}.json").write_text(json.dumps({**meta, "pairs": [pair]}))
    index = {"schema": PACKED_SCHEMA, "splits": {"test": {"packaging": "pair list", "shards": names}}}
    (folder / "packed.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def served(tmp_path):
    """The URL of a packed folder, and the folder."""
    folder = write_packed(tmp_path / "packed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/packed", folder
    server.shutdown()
    server.server_close()


def test_pairs_at_a_url_are_those_of_the_folder_in_a_cache_for_one(served, tmp_path):
    url, folder = served
    cache = ShardCache(tmp_path / "cache", SHARD_BYTES)
    near, far = load_pairs(folder, "test"), load_pairs(url, "test", cache=cache)
    assert splits_of(Path(url)) == ("test",)
    assert (far.name, far.packaging) == ("packed", near.packaging)
    for _ in range(2):
        for one, other in zip(near.pairs, far.pairs, strict=True):
            assert one.name == other.name
            assert np.array_equal(one.read().image, other.read().image)
            assert np.array_equal(one.read().depth_m, other.read().depth_m)
            assert len(list((tmp_path / "cache").glob("*.bin"))) == 1


def test_the_shard_unused_for_longest_goes_first(served, tmp_path):
    cache = ShardCache(tmp_path / "cache", 2 * SHARD_BYTES)
    pairs = load_pairs(served[0], "test", cache=cache).pairs
    for number in (0, 1, 0, 2):
        pairs[number].read()
    kept = {path.stem for path in (tmp_path / "cache").glob("*.bin")}
    assert kept == {pairs[0].shard.sha256, pairs[2].shard.sha256}


def test_what_a_killed_process_left_half_fetched_is_deleted(served, tmp_path):
    cache = ShardCache(tmp_path / "cache", SHARD_BYTES)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{'f' * 64}.part").write_bytes(bytes(SHARD_BYTES))
    load_pairs(served[0], "test", cache=cache).pairs[0].read()
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_shard_larger_than_the_cache_is_refused(served, tmp_path):
    cache = ShardCache(tmp_path / "cache", SHARD_BYTES - 1)
    with pytest.raises(LightDepthError, match="allow it more"):
        load_pairs(served[0], "test", cache=cache).pairs[0].read()


def test_a_url_without_packed_data_says_what_is_needed(served):
    with pytest.raises(LightDepthError, match=r"^There is no http.*/other/packed.json; .*lightdepth data pack"):
        load_pairs(served[0].replace("packed", "other"), "test")
    with pytest.raises(LightDepthError, match=r"Protocol not known: odd.*s3://"):
        load_pairs("odd://bucket/packed", "test")


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(LightDepthError, match=r"pip install fsspec filelock s3fs$"):
        load_pairs("s3://bucket/packed", "test")


def test_a_url_is_told_from_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert url_of("s3://bucket/packed/") == "s3://bucket/packed"
    assert url_of(tmp_path / "s3:" / "bucket") is None
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    assert [url_of(path) for path in ("s3:/bucket", "C:/data", "c:\\data", "data", "/data", "./s3:/x/y")] == [None] * 6


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("packed.json", "{", "<!DOCTYPE html>{", "is no JSON"),
        ("packed.json", '"splits"', '"parts"', "damaged"),
        ("packed.json", '"packaging"', '"kind"', "damaged.*packaging"),
        ("test-00001.json", '"cameras": {}', '"cameras": []', "damaged"),
        ("test-00001.json", "uint16", "int7", "damaged.*depth_type int7"),
    ],
)
def test_a_damaged_index_is_one_sentence(tmp_path, name, old, new, told):
    folder = write_packed(tmp_path / "packed")
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(LightDepthError, match=told):
        load_pairs(folder, "test")
    if name == "packed.json" and old != '"packaging"':  # which only loading needs
        with pytest.raises(LightDepthError, match=told):
            splits_of(folder)


def test_threads_that_wait_for_the_same_shard_share_its_failure(tmp_path, monkeypatch):
    begun, calls = threading.Barrier(4), []

    def fail(*_, **__):
        calls.append(1)
        time.sleep(0.3)
        raise LightDepthError("cut")

    def fetch(_):
        begun.wait()
        with pytest.raises(LightDepthError, match="cut"):
            RemoteShard("http://host/a.bin", 1, "ab" * 32, cache).fetch()

    cache = ShardCache(tmp_path / "cache")
    monkeypatch.setattr(shard, "download", fail)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, range(4)))
    assert len(calls) == 1
    begun = threading.Barrier(1)
    fetch(0)
    assert len(calls) == 1, "and who asks soon after"
    time.sleep(0.4)
    fetch(0)
    assert len(calls) == 2, "who asks later tries again"


def test_a_cache_below_a_file_is_one_sentence(served, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        pairs = load_pairs(served[0], "test", cache=ShardCache(folder))
        with pytest.raises(LightDepthError, match=r"No cache for http.*shard_cache"):
            pairs.pairs[0].read()


def test_missing_credentials_are_told_at_once(monkeypatch):
    class NoCredentialsError(Exception):
        """As botocore's."""

    def ask():
        raise NoCredentialsError("Unable to locate credentials")

    monkeypatch.setattr(remote.time, "sleep", lambda _: pytest.fail("waits"))
    with pytest.raises(LightDepthError, match=r"Unable to locate credentials.*AWS_ACCESS_KEY_ID"):
        remote._try(ask, "s3://bucket/packed.json")


def test_what_may_not_be_read_is_told_at_once(monkeypatch):
    class Forbidden(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbidden)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(remote.time, "sleep", lambda _: pytest.fail("waits"))
    with pytest.raises(LightDepthError, match=r"may not be read .*403.*check the credentials"):
        load_pairs(f"http://127.0.0.1:{server.server_port}/packed", "test")
    server.shutdown()
    server.server_close()


def test_a_shard_that_cannot_be_had_is_not_asked_for_by_each_pair_when_the_unit_is_guessed(
    served, tmp_path, monkeypatch
):
    calls = []

    def fail(url, *_, **__):
        calls.append(url)
        raise LightDepthError("cut")

    monkeypatch.setattr(shard, "download", fail)
    pairs = load_pairs(served[0], "test", cache=ShardCache(tmp_path / "cache"))
    warn_of_unit(pairs, pytest.fail, max_depth_m=10)
    assert len(calls) == 1
