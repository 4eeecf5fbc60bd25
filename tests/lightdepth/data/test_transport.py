"""How batches come from workers, and what happens where they can't."""

import os
import signal
import time
from collections import namedtuple

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lightdepth.config import load_config
from lightdepth.data import loader as loader_module
from lightdepth.data import transport
from lightdepth.data.loader import build_loader
from lightdepth.data.transport import fits_shared_memory, receive
from lightdepth.data.workers import start_worker
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec("tiny", 64, 96, 1)
CPU = torch.device("cpu")
BATCH_BYTES = 39_000_000  # eight frames of 640x480 with depth


class Unsendable:
    """What fails where a worker's queue pickles it, as a tensor does where shared memory is full."""

    def __reduce__(self):
        raise OSError(28, "No space left on device")


class Failing(Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return Unsendable()


def first(batch):
    return batch[0]


@pytest.mark.parametrize(
    ("free_bytes", "processes", "fits"),
    [(64_000_000, 1, False), (2_000_000_000, 1, True), (2_000_000_000, 16, False)],
)
def test_the_batches_on_their_way_are_held_against_shared_memory(monkeypatch, tmp_path, free_bytes, processes, fits):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(transport.shutil, "disk_usage", lambda _: usage(0, 0, free_bytes))
    assert fits_shared_memory(BATCH_BYTES, 2, processes, tmp_path) is fits


def test_a_machine_without_the_folder_has_no_limit(tmp_path):
    assert fits_shared_memory(BATCH_BYTES, 2, 1, tmp_path / "gone")


@pytest.mark.slow
def test_pipes_bring_the_same_batches_and_say_why(tum, monkeypatch):
    pairs = load_pairs(tum, "train").pairs
    config = load_config(None, ["num_workers=1", "batch_size=2"])
    expected = list(receive(build_loader(pairs, SPEC, config, pin_memory=False)[0], CPU))
    monkeypatch.setattr(loader_module, "fits_shared_memory", lambda *_: False)
    said = []
    piped, _ = build_loader(pairs, SPEC, config, pin_memory=False, say=said.append)
    got = list(receive(piped, CPU))
    assert len(got) == 2
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.depth_m, other.depth_m)
        assert list(one.names) == list(other.names)
    (line,) = said
    assert all(words in line for words in ("through pipes", "--shm-size", "--ipc=host", "num_workers"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "unsendable"])
def test_a_worker_that_fails_ends_the_run_within_seconds_with_the_ways_out(how):
    started = time.monotonic()
    batches = DataLoader(
        Failing(how),
        batch_size=1,
        num_workers=1,
        collate_fn=first,
        worker_init_fn=start_worker,
        multiprocessing_context="forkserver",
    )
    with pytest.raises(LightDepthError, match=r"A data worker died.*--shm-size.*--ipc=host.*num_workers"):
        list(receive(batches, CPU))
    assert time.monotonic() - started < 60
