"""Processes of a launcher: together they give what one gives, and one that dies ends all with a sentence."""

import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lightdepth.cli.app import app
from lightdepth.processes import join_processes
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.processes import refuse_launcher, share_bounds, work_alone

# Runs a command; the process of the rank given sends itself the signal given where it would write its second file.
SCRIPT = """
import os, sys
from lightdepth.cli import app
from lightdepth.prepare import pack, pseudo_label

pack.PAIRS_PER_SHARD = 1  # several shards of few pairs
victim, signal_number = int(sys.argv[1]), int(sys.argv[2])
if victim == int(os.environ.get("RANK", 0)):
    def kill_at_second(function, calls=[]):
        def call(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                os.kill(os.getpid(), signal_number)
            return function(*arguments)
        return call
    pack._write_shard = kill_at_second(pack._write_shard)
    pseudo_label.write_bytes = kill_at_second(pseudo_label.write_bytes)
del sys.argv[1:3]
app.main()
"""


def run(folder, command, *, processes=1, victim=-1, by=signal.SIGKILL):
    """Run a command in a folder, under torchrun where there are several processes."""
    (folder / "command.py").write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)] * (processes > 1)
    command = [sys.executable, *launcher, "command.py", str(victim), str(int(by)), *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


EVAL = ["eval", "--data", "DATA", "--split", "train", "--json", "out/eval.json"]
LABEL = ["pseudo-label", "DATA", "-o", "out/labels"]
PACK = ["data", "pack", "DATA", "-o", "out/packed"]
CHECK = ["data", "check", "DATA", "--json", "out/check.json", "--sheet", "out/sheet.png"]


def with_data(command, data):
    return [str(data) if word == "DATA" else word for word in command]


@pytest.mark.slow
@pytest.mark.parametrize("command", [EVAL, LABEL, PACK, CHECK], ids=" ".join)
def test_processes_of_torchrun_give_what_one_gives(tum, tmp_path, command):
    made = {}
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        (folder / "out").mkdir(parents=True)
        done = run(folder, with_data(command, tum), processes=processes)
        assert "Error" not in done.stdout
        made[processes] = {"printed": done.stdout, **files(folder / "out")}  # the main process alone speaks
    if command is EVAL:
        scores = {processes: json.loads(result.pop("eval.json")) for processes, result in made.items()}
        for processes in (2, 4):
            for one, several in zip(scores[1]["depth_ranges"], scores[processes].pop("depth_ranges"), strict=True):
                assert several == pytest.approx(one, abs=1e-9)
            sigma = scores[processes].pop("confidence")
            assert sigma == pytest.approx(scores[1]["confidence"], abs=1e-9)
            assert scores[processes].items() <= scores[1].items()
    assert len(made[1]) > (command is not EVAL)
    assert made[2] == made[1]
    assert made[4] == made[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "victim", "by", "told"),
    [
        (LABEL, 1, signal.SIGKILL, "(rank 1) died. Its share was images 4 to 6 of 6."),
        (LABEL, 1, signal.SIGTERM, "Something ended process 2 of 2 (rank 1)."),
        (PACK, 0, signal.SIGKILL, "main process of 2 (rank 0) died."),
        (PACK, 1, signal.SIGINT, "Something ended process 2 of 2 (rank 1)."),
    ],
)
def test_a_killed_process_ends_the_command_and_a_repeated_one_keeps_what_is_whole(
    tum, tmp_path, command, victim, by, told
):
    command = with_data(command, tum)
    done = run(tmp_path, command, processes=2, victim=victim, by=by)
    assert done.returncode != 0
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert told in sentence
    left = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".bin")}
    assert left
    done = run(tmp_path, command, processes=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path: path.stat().st_mtime_ns for path in left} == left
    again = files(tmp_path / "out")
    assert run(tmp_path, [*command[:-1], "one/out"]).returncode == 0
    assert list(again.values()) == list(files(tmp_path / "one" / "out").values())


@pytest.mark.slow
def test_a_fault_of_one_process_ends_all_with_one_sentence(tum_copy, tmp_path):
    last = (tum_copy / "train.txt").read_text().split()[-2]
    (tum_copy / last).write_bytes((tum_copy / last).read_bytes()[:3000])
    command = ["eval", "--data", str(tum_copy), "--split", "train", "--json", "eval.json"]
    done = run(tmp_path, command, processes=2)
    assert done.returncode == 1
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert os.path.basename(last) in sentence  # noqa: PTH119
    assert not (tmp_path / "eval.json").exists()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_shares_are_consecutive_and_even(count):
    bounds = [share_bounds(10, number, count) for number in range(count)]
    assert [place for start, end in bounds for place in range(start, end)] == list(range(10))
    sizes = [end - start for start, end in bounds]
    assert max(sizes) - min(sizes) <= 1


def test_a_launcher_that_sets_only_a_part_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(LightDepthError, match=r"2 processes.*MASTER_ADDR, MASTER_PORT.*torchrun"), join_processes():
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORLD_SIZE", "two"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "2.5"), ("RANK", "-1"), ("RANK", "2"), ("RANK", "a"),
     ("MASTER_PORT", "0"), ("MASTER_PORT", "http")],
)  # fmt: skip
def test_nonsense_of_a_launcher_is_refused_at_once(monkeypatch, name, value):
    told = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", name: value}
    for key, text in told.items():
        monkeypatch.setenv(key, text)
    with pytest.raises(LightDepthError, match=f"{name} is '{value}'.*a whole number"), join_processes():
        pass
    if name == "WORLD_SIZE":
        with pytest.raises(LightDepthError, match="a whole number"):
            refuse_launcher()


def test_a_command_that_works_alone_refuses_a_launcher(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LightDepthError, match="WORLD_SIZE"), work_alone("cpu"):
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    with work_alone("cpu") as processes:
        assert list(processes.share([1, 2], "numbers")) == [1, 2]
        assert processes.merge("part") == ["part"]


@pytest.mark.parametrize("command", ["export", "bench", "compare", "infer", "calibrate", "demo", "data list"])
def test_commands_that_write_the_same_files_refuse_a_launcher(command, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.chdir(tmp_path)
    arguments = {
        "infer": ["photo.jpg"],
        "calibrate": ["lite0"],
        "export": ["run"],
        "data list": ["set"],
        "compare": ["--data", "set"],
    }
    written = ["-o", "out"] if command in ("calibrate", "data list") else []
    result = CliRunner().invoke(app, [*command.split(), *arguments.get(command, []), *written])
    assert isinstance(result.exception, LightDepthError), result.output
    assert "WORLD_SIZE" in str(result.exception)
    assert not list(tmp_path.iterdir())
