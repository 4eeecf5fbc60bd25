"""Reading packed pairs from an S3 server on loopback beside reading them from disk: epochs of the loader in turns.

Usage: python benchmarks/remote.py --data DIR [--pairs N] [--rounds 5] [--json FILE]

The server (moto's) runs on the same cores as the loader, and holds the shards in memory: what comes out is what the way
through the cache costs, not what a network can. Each epoch from the server begins with an empty cache.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from moto.server import ThreadedMotoServer

from lightdepth.config import TrainConfig, check_config
from lightdepth.data.loader import build_loader
from lightdepth.data.workers import start_worker_server
from lightdepth.prepare import pack
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import CpuWatch, describe_machine
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.lists.rows import format_row
from lightdepth_runtime.spec import ModelSpec

SCHEMA = "lightdepth.remote/1"
BUCKET = "packed"
PAIRS_PER_SHARD = 32
SOURCES = ("disk", "s3, empty cache", "s3, cached")
ACCESS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


def main(
    data: Annotated[Path, typer.Option(help="Folder of pairs in files, with a split train.")],
    pairs: Annotated[int, typer.Option(min=64)] = 256,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    workers: Annotated[int, typer.Option(min=0)] = 2,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Measure, print, write."""
    pack.PAIRS_PER_SHARD = PAIRS_PER_SHARD
    with tempfile.TemporaryDirectory(
        dir=Path.cwd(), ignore_cleanup_errors=True
    ) as folder:  # not in a /tmp that is memory
        packed = Path(folder) / "packed"
        listing = Path(folder) / "train.txt"
        chosen = load_pairs(data, "train").spread(pairs).pairs
        listing.write_text("\n".join(format_row(p.color_path.resolve(), p.depth_path.resolve()) for p in chosen))  # pyright: ignore[reportAttributeAccessIssue]  # pairs of files
        size = pack.pack_data(listing, packed).size_bytes
        os.environ.update(ACCESS)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
        start_worker_server()  # its workers have the environment of this moment
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for path in packed.iterdir():
            client.upload_file(str(path), BUCKET, path.name)
        watch = CpuWatch()
        rates = measure(packed, Path(folder) / "cache", size, rounds, workers)
        server.stop()
    result: dict[str, Any] = {"pairs": pairs, "size_bytes": size, "rounds": rounds, "workers": workers}  # Any: JSON
    result["images_per_s"] = rates
    for name in SOURCES[1:]:
        ratios = sorted(one / other for one, other in zip(rates[name], rates["disk"], strict=True))
        result[f"{name}, of disk"] = {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}
        print(f"{name}: {statistics.median(ratios):.2f} of disk's images/s ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    result |= {"others_share_of_cpu": watch.others_share(), "machine": describe_machine().to_dict()}
    if json:
        write_json(json, {"schema": SCHEMA, **result})


def measure(packed: Path, cache: Path, size_bytes: int, rounds: int, workers: int) -> dict[str, list[float]]:
    """Return images/s of each round's epochs."""
    spec = ModelSpec("remote", 192, 256, parameters=0)
    loaders = {}
    for kind, place in (("disk", str(packed)), ("s3", f"s3://{BUCKET}")):
        config = _config(place, cache, size_bytes, workers)
        loaders[kind] = build_loader(
            load_pairs(place, "all", cache=config.cache()).pairs, spec, config, pin_memory=False
        )
    rates: dict[str, list[float]] = {name: [] for name in SOURCES}
    for number in range(rounds + 1):
        for name in SOURCES:
            if name == "s3, empty cache":
                for path in cache.glob("*.bin"):
                    path.unlink()
            loader, sampler = loaders[name.split(",")[0]]
            sampler.epoch = number
            begun = time.monotonic()
            images = sum(len(batch.names) for batch in loader)
            if number:  # the first starts the workers
                rates[name].append(images / (time.monotonic() - begun))
    return rates


def _config(place: str, cache: Path, size_bytes: int, workers: int) -> TrainConfig:
    return check_config(
        {
            "data_root": place,
            "model": "lite0",
            "num_workers": workers,
            "shuffle_shards": 2,
            "shard_cache": str(cache),
            "shard_cache_gb": 2 * size_bytes / 1e9,
        }
    )


if __name__ == "__main__":
    typer.run(main)
