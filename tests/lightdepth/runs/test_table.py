import json
from dataclasses import replace

import pytest

from lightdepth.config import load_config
from lightdepth.data.extra import ExtraPair
from lightdepth.data.unlabelled import UnlabelledImage
from lightdepth.runs.folder import RunFolder
from lightdepth.runs.record import fingerprint, read_record, record_run
from lightdepth.runs.table import _duration, compare_runs
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs


def write_run(path, pairs, rmses, *overrides):
    run = RunFolder(path)
    run.start(load_config(None, overrides), record_run(pairs, None, processes=2, effective_batch=8))
    rows = [
        {"epoch": n, "loss": 0.5, "rmse_m": rmse, "abs_rel": 0.1, "delta1": 0.9, "seconds": 1800.0}
        for n, rmse in enumerate(rmses, 1)
    ]
    run.write_metrics(rows)


def test_runs_are_listed_best_first_with_the_settings_in_which_they_differ(tum, tmp_path):
    pairs = load_pairs(tum, "train")
    write_run(tmp_path / "a", pairs, [0.9, 0.7, 0.8], "epochs=5")
    write_run(tmp_path / "b", pairs, [0.6], "epochs=5", "loss=l1")
    write_run(tmp_path / "c", pairs, [])
    runs, settings = compare_runs([tmp_path], tmp_path / "runs.json")
    b, a, c = ([cell.text for cell in row] for row in runs.cells())
    assert [b[0], a[0], c[0]] == ["b", "a", "c"]
    assert a[1:8] == ["3/5", "2", "0.700", "0.100", "0.900", "0.500", "1.5 h"]
    assert "tum, 4 pairs" in a[-1]
    shown = {"b": "epochs=5, loss=l1", "a": "epochs=5, loss=silog", "c": "epochs=25, loss=silog"}
    assert dict(settings.rows) == shown
    values = json.loads((tmp_path / "runs.json").read_text())
    assert values["schema"] == "lightdepth.runs/1"
    assert [run["best_rmse_m"] for run in values["runs"]] == [0.6, 0.7, None]


def test_a_short_run_took_minutes():
    assert [_duration(seconds / 3600) for seconds in (30, 660, 7200)] == ["0.5 min", "11 min", "2.0 h"]


def test_equal_runs_are_said_to_be_equal(tum, tmp_path):
    for name in "ab":
        write_run(tmp_path / name, load_pairs(tum, "train"), [0.5])
    assert compare_runs([tmp_path / "a", tmp_path / "b"])[-1].rows == [["a", "none"], ["b", "none"]]


def test_a_run_of_an_installed_release_tells_its_version(tum, tmp_path, monkeypatch):
    monkeypatch.setattr("lightdepth.runs.record.source_commit", lambda: "lightdepth 0.1.0 (git not readable)")
    write_run(tmp_path / "a", load_pairs(tum, "train"), [0.5])
    (table,) = compare_runs([tmp_path])
    assert table.cells()[0][-2].text == "0.1.0"


def test_damaged_metrics_are_one_sentence(tum, tmp_path):
    write_run(tmp_path / "a", load_pairs(tum, "train"), [0.5])
    with (tmp_path / "a" / "metrics.jsonl").open("a") as file:
        file.write("{half\n")
    with pytest.raises(LightDepthError, match=r"metrics\.jsonl is damaged .*; delete its damaged lines"):
        compare_runs([tmp_path])


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(LightDepthError, match="holds no run; name a run's folder"):
        compare_runs([tmp_path])


def test_a_run_from_before_there_were_records_is_listed_too(tmp_path):
    RunFolder(tmp_path / "old").start(load_config(None))
    (table,) = compare_runs([tmp_path])
    assert [cell.text for cell in table.cells()[0]][:3] == ["old", "0/25", "-"]


def test_a_record_comes_back_as_it_was_and_a_damaged_one_is_named(tum, tmp_path):
    train, test = (load_pairs(tum, split) for split in ("train", "test"))
    record = record_run(train, test, processes=1, effective_batch=4)
    assert record.packages["torch"]
    record.write(tmp_path / "run.json")
    assert read_record(tmp_path / "run.json") == record
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(LightDepthError, match="is no run's record"):
        read_record(tmp_path / "run.json")


def test_a_fingerprint_tells_order_names_and_file_sizes_of_extra_pairs_too(tum_copy):
    pairs = load_pairs(tum_copy, "train")
    assert fingerprint(pairs) == fingerprint(load_pairs(tum_copy, "train"))
    assert fingerprint(pairs.subset([1, 0, 2, 3], "train")) != fingerprint(pairs)
    extra = replace(pairs, pairs=[ExtraPair(pair, 0.5) for pair in pairs.pairs])
    before = fingerprint(pairs), fingerprint(extra)
    with pairs.pairs[0].depth_path.open("ab") as file:
        file.write(b"x")
    assert fingerprint(pairs) != before[0]
    assert fingerprint(extra) != before[1]


@pytest.mark.parametrize("subfolder", [".", "one"])
def test_a_fingerprint_is_the_same_where_the_folder_has_another_name(tum, tmp_path, subfolder):
    for name in ("before", "after"):
        for kind, suffix in (("color", "_rgb.jpg"), ("depth", "_depth.png")):
            (tmp_path / name / subfolder / kind).mkdir(parents=True)
            for path in tum.rglob(f"*{suffix}"):
                copied = path.name.replace(suffix, path.suffix)
                (tmp_path / name / subfolder / kind / copied).write_bytes(path.read_bytes())
    before, after = (load_pairs(tmp_path / name, "train") for name in ("before", "after"))
    assert len(before) == 6
    assert fingerprint(before) == fingerprint(after)


def test_a_fingerprint_is_the_same_where_a_list_has_absolute_paths(tum_copy):
    before = load_pairs(tum_copy, "train")
    lines = [f"{pair.color_path.resolve()} {pair.depth_path.resolve()}" for pair in before.pairs]
    (tum_copy / "absolute.txt").write_text("\n".join(lines))
    after = load_pairs(tum_copy / "absolute.txt", "train")
    assert after.pairs[0].name != before.pairs[0].name
    assert fingerprint(after) == fingerprint(before)


def test_images_without_depth_and_further_sets_may_move_alone(tum, tmp_path):
    pairs = load_pairs(tum, "train")
    sizes = [pair.color_path.read_bytes() for pair in pairs.pairs]

    def at(*folders):
        main, extra, images = (tmp_path / folder for folder in folders)
        made = []
        for folder in (main, extra):
            folder.mkdir(parents=True, exist_ok=True)
            for number, (pair, content) in enumerate(zip(pairs.pairs, sizes, strict=True)):
                (folder / f"{number}.jpg").write_bytes(content)
                moved = replace(pair, name=f"{number}.jpg", color_file=str(folder / f"{number}.jpg"))
                made.append(moved if folder == main else ExtraPair(moved, 0.5))
        return fingerprint(replace(pairs, pairs=[*made, UnlabelledImage(images / "1.jpg")]))

    assert at("a", "b", "c") == at("a", "b", "d/e") == at("a", "f/g", "c") == at("h/i", "b", "c")


def test_other_versions_and_batches_are_said_and_other_pairs_refused(tum):
    train, test = (load_pairs(tum, split) for split in ("train", "test"))
    one = record_run(train, test, processes=1, effective_batch=4)
    lines = []
    record_run(train, test, processes=2, effective_batch=8).check_same_data(one, lines.append)
    assert lines == [
        "Effective batch 8 in 2 processes, 4 in 1 before: the result will differ from an uninterrupted run's."
    ]
    with pytest.raises(LightDepthError, match=r"validation pairs are not those this run began with \(2 then, 0 now"):
        record_run(train, None, processes=1, effective_batch=4).check_same_data(one, lines.append)
