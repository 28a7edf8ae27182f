"""Numbers agree with their nouns."""

from coldframe.counted import counted


def test_only_one_is_singular() -> None:
    assert counted(0, "light") == "0 lights"
    assert counted(1, "light") == "1 light"
    assert counted(1200, "light") == "1,200 lights"


def test_irregular_plurals() -> None:
    assert counted(1, "bias", "biases") == "1 bias"
    assert counted(2, "bias", "biases") == "2 biases"
