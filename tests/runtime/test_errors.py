from lightdepth_runtime.errors import nearest, nearest_path


def test_a_misspelt_word_is_answered_with_the_nearest_known():
    assert nearest("learnin_rate", ["epochs", "learning_rate"]) == " (did you mean 'learning_rate'?)"


def test_a_word_like_none_is_answered_with_nothing():
    assert nearest("xyzzy", ["epochs", "learning_rate"]) == ""


def test_a_misspelt_path_is_answered_with_one_that_can_be_copied(tmp_path):
    (tmp_path / "kitchen").mkdir()
    assert nearest_path(tmp_path / "kichen") == f" (did you mean {str(tmp_path / 'kitchen')!r}?)"
    assert nearest_path(tmp_path / "xyzzy") == nearest_path(tmp_path / "gone" / "kitchen") == ""
