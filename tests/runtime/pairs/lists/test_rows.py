"""Lists as they lie about: each line gives the same real pair, or a sentence that names what is odd in it."""

import shutil

import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.lists.rows import COLUMNS, WORDS, Row, format_row, parse_rows

COLOR, DEPTH = "freiburg3_cabinet/0000_rgb.jpg", "freiburg3_cabinet/0000_depth.png"


@pytest.fixture
def one_pair(tum_copy):
    """Give a function that reads the only pair of a list with the given text."""
    for name in ("run#1", "it's", "two words", "a,b", "K\u00fcche"):
        shutil.copytree(tum_copy / "freiburg3_cabinet", tum_copy / name)

    def read(text, name="mine.txt"):
        path = tum_copy / name
        path.write_text(text, encoding="utf-8")
        (pair,) = load_pairs(path, "test").pairs
        return pair

    return read


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"{COLOR} {DEPTH} 518.8579", "bts.txt"),
        (f"/{COLOR} /{DEPTH} 518.8579", "bts_slash.txt"),
        (f"{COLOR}\t{DEPTH}", "tab.txt"),
        ("two words/0000_rgb.jpg\ttwo words/0000_depth.png", "tab_and_blanks.txt"),
        (r"two\ words/0000_rgb.jpg two\ words/0000_depth.png", "shell.txt"),
        (f"{COLOR},{DEPTH}", "comma.txt"),
        (f"{COLOR}, {DEPTH}", "comma_blank.txt"),
        (f"{COLOR} , {DEPTH}", "blank_comma.txt"),
        (f"{COLOR}; {DEPTH}", "semicolon.txt"),
        (f"{COLOR} {DEPTH} # the first", "comment.txt"),
        (f"\ufeff{COLOR} {DEPTH}\r\n\r\n", "windows_ends.txt"),
        (COLOR.replace("/", "\\") + " " + DEPTH.replace("/", "\\"), "backslash.txt"),
        ("run#1/0000_rgb.jpg run#1/0000_depth.png", "hash.txt"),
        ("Ku\u0308che/0000_rgb.jpg Ku\u0308che/0000_depth.png", "mac.txt"),
        ("it's/0000_rgb.jpg it's/0000_depth.png", "apostrophe.txt"),
        ("'two words/0000_rgb.jpg' \"two words/0000_depth.png\"", "quotes.txt"),
        (f"{COLOR}, {DEPTH}", "blank.csv"),
        (f"{COLOR};{DEPTH}", "semicolon.csv"),
        (f"# mine\n{COLOR},{DEPTH}", "comment.csv"),
        (f"image,depth\n{COLOR},{DEPTH}", "header.csv"),
        (f",image,depth\n0,{COLOR},{DEPTH}", "pandas.csv"),
        (f"{COLOR},{DEPTH},518.8", "focal.csv"),
        ('"a,b/0000_rgb.jpg","a,b/0000_depth.png"', "quoted.csv"),
        (COLOR.replace("/", "\\") + "," + DEPTH.replace("/", "\\"), "backslash.csv"),
        (f"{COLOR},{DEPTH}", "upper.CSV"),
        (f"{COLOR}\t{DEPTH}", "tab.tsv"),
    ],
)
def test_a_list_gives_the_pair_it_names(one_pair, tum, text, name):
    frame = one_pair(text, name).read()
    expected = load_pairs(tum, "train").pairs[0].read()
    np.testing.assert_array_equal(frame.image, expected.image)
    np.testing.assert_array_equal(frame.depth_m, expected.depth_m)


def test_a_windows_path_names_its_scene_by_the_folder(one_pair):
    pair = one_pair(r"freiburg3_cabinet\0000_rgb.jpg freiburg3_cabinet\0000_depth.png")
    assert (pair.name, pair.scene) == (COLOR, "freiburg3_cabinet")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"1305031102.17 {COLOR} 1305031102.16 {DEPTH}", "TUM's tools.*`# depth: tum`"),
        (f"1305031102.17 {COLOR} 1305031102.16 {DEPTH} 1305031102.17 0 0 1", "TUM's tools.*`# depth: tum`"),
        (f"1305031102.17 {COLOR}", "TUM's list of one camera"),
        (f"{DEPTH} {DEPTH}", "colour and depth are the same file"),
        (f"{COLOR} None 721.5", r"has no depth \(None\)"),
        (rf"C:\data\0.jpg {DEPTH}", "Windows drive"),
        (f"two words/0000_rgb.jpg {DEPTH}", "got 3 words.*blanks stands in quotes"),
        (f"{COLOR} #1/depth.png", "begins with # stands in quotes"),
        (f'"{COLOR} {DEPTH}', "closing quotation mark"),
        (f"{COLOR} {DEPTH.upper()}", "doesn't exist"),
        (f"{COLOR.replace('jpg', 'JPG')} {DEPTH}", "There is 0000_rgb.jpg: capital letters count"),
        (f"{'x' * 5000} {DEPTH}", "doesn't exist"),
        (f"{COLOR} {DEPTH} kitchen", "got 3 words.*only numbers"),
        (f"{COLOR}|{DEPTH}", "got 1 word.*a comma or a semicolon stands between"),
        (f'{{"rgb": "{COLOR}", "depth": "{DEPTH}"}}', "JSON or Python"),
        (f"['{COLOR}', '{DEPTH}']", "JSON or Python"),
        (f"Freiburg3_cabinet/0000_rgb.jpg {DEPTH}", "There is freiburg3_cabinet: capital letters count"),
        ("image depth", "lists no pairs"),
    ],
)
@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_a_line_that_is_no_pair_is_refused_with_its_cause(one_pair, text, words, suffix):
    with pytest.raises(LightDepthError, match=words) as caught:
        one_pair(text, f"mine.{suffix}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separators", [WORDS, COLUMNS])
@pytest.mark.parametrize(
    "path", ["a/0.jpg", "two words/0.jpg", "#1/0.jpg", "it's/0.jpg", 'the "best"/0.jpg', "a,b; c/0.jpg", "back\\0.jpg"]
)
def test_a_written_row_is_read_as_the_same_paths(tmp_path, path, separators):
    line = format_row(path, "0.png")
    assert list(parse_rows([line], tmp_path, separators)) == [Row(1, path, "0.png")]


@pytest.mark.parametrize("path", ["a\nb.jpg", "a\u2028b.jpg", "caf\udce9.jpg", 'it\'s "x".jpg'])
def test_a_path_that_no_list_can_hold_is_refused(path):
    with pytest.raises(LightDepthError, match="can't stand in a pair list") as caught:
        format_row(path, "0.png")
    assert str(caught.value).isascii()
