from lightdepth_runtime.errors import nearest


def test_a_misspelt_word_is_answered_with_the_nearest_known():
    assert nearest("learnin_rate", ["epochs", "learning_rate"]) == " (did you mean 'learning_rate'?)"


def test_a_word_like_none_is_answered_with_nothing():
    assert nearest("xyzzy", ["epochs", "learning_rate"]) == ""
