import errno
import json
import os
import stat
from pathlib import Path

import pytest

from lightdepth_runtime.atomic import atomic_path, make_folder, write_bytes, write_json, write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.ros import record_depth


def test_the_file_appears_whole_with_parents_and_usual_permissions(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "Tiefe für alle\n")
    assert path.read_text(encoding="utf-8") == "Tiefe für alle\n"
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert [p.name for p in path.parent.iterdir()] == ["note.txt"]


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "m.onnx"
    write_bytes(path, b"old")

    def fail_half_way():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            assert path.read_bytes() == b"old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_while_the_temporary_file_is_created_leaves_none(tmp_path, monkeypatch):
    """A signal is heard when the call that creates the file returns."""
    touch = Path.touch

    def interrupted(path, *arguments, **options):
        touch(path, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "touch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "m.onnx", b"new")
    assert not list(tmp_path.iterdir())


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "m.onnx") as temporary:
        assert temporary.suffix == ".onnx"
        assert temporary.parent == tmp_path


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "r.json", {"rmse_m": float("nan")})
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "r.json", {"rmse_m": 0.5})
    assert json.loads((tmp_path / "r.json").read_text()) == {"rmse_m": 0.5}


def test_a_link_is_followed_rather_than_replaced(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to("real.txt")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_device_or_pipe_is_written_and_stays_what_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_in_the_way_and_a_file_as_folder_are_one_sentence(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "taken", tmp_path / "file" / "note.txt"):
        with pytest.raises(LightDepthError, match=r"Can't write .*Choose another output") as caught:
            write_text(path, "x")
        assert "\n" not in str(caught.value)
    with pytest.raises(LightDepthError, match="Can't write"):
        make_folder(tmp_path / "file" / "deeper")
    with pytest.raises(LightDepthError, match="it is a file"):
        make_folder(tmp_path / "file")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")  # noqa: PTH110
def test_a_full_device_is_one_sentence():
    with pytest.raises(LightDepthError, match="Can't write /dev/full: No space left"):
        write_text("/dev/full", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(LightDepthError, match="permission denied"):
        write_text(tmp_path / "note.txt", "x")


@pytest.mark.parametrize(
    "error",
    [OSError("We couldn't connect to the hub"), ConnectionError("refused"), FileNotFoundError(2, "", "/none")],
)
def test_an_error_of_other_work_is_not_blamed_on_the_output(tmp_path, error):
    with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "result.json"):
        raise error
    assert caught.value is error
    with pytest.raises(type(error)), record_depth(tmp_path / "depth"):
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), "10 requested and 0 written"])
def test_an_error_of_the_writer_names_the_output(tmp_path, error):
    error = error if isinstance(error, OSError) else OSError(error)
    for work in (lambda: atomic_path(tmp_path / "result.npy"), lambda: record_depth(tmp_path / "depth")):
        with pytest.raises(LightDepthError, match=r"Can't write .*(result|depth)"), work():
            raise error
    with pytest.raises(LightDepthError, match="Can't write"), atomic_path(tmp_path / "a.txt") as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert list(tmp_path.iterdir()) == []
