import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.atomic import result_folder


def test_results_land_in_the_next_numbered_folder_and_an_empty_one_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        with result_folder(None, "infer") as folder:
            (folder / "depth.png").touch()
        assert str(folder) == f"output/infer-{number}"
    with pytest.raises(LightDepthError), result_folder(None, "infer") as folder:
        raise LightDepthError("nothing came of it")
    assert [path.name for path in sorted((tmp_path / "output").iterdir())] == ["infer-1", "infer-2"]


def test_a_folder_that_is_named_is_taken_as_it_is(tmp_path):
    with result_folder(tmp_path / "mine", "infer") as folder:
        assert folder == tmp_path / "mine"
    assert not folder.exists()


def test_a_named_folder_that_is_new_and_stays_empty_is_removed(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with result_folder(tmp_path / name, "infer") as folder:
            folder.mkdir(exist_ok=True)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
