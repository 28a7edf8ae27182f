"""Words by which programs name the kind of a frame."""

import pytest

from coldframe.calibration.frames.spellings import kind_of_word, names_a_master
from coldframe.config.frames import FrameKind

WORDS = {
    FrameKind.BIAS: ("Bias Frame", "BIAS", "zero", "Offset", "Bias Field", "biasframe", "MASTERBIAS"),
    FrameKind.DARK: ("Dark Frame", "DARK", "Dark Field", "Master Dark", "Darks", "superdark"),
    FrameKind.FLAT: (
        "Flat Frame", "FLATFIELD", "Flat_Field", "Flat-Field", "SKYFLAT", "Twilight Flat", "TWIFLAT", "DOMEFLAT",
        "Dome Flat", "LAMPFLAT", "flat,sky", "Flats", "AutoFlat",
    ),
    FrameKind.DARK_FLAT: ("DARKFLAT", "Dark Flat", "FLATDARK", "Flat Dark Frame", "Dark-Flat", "Dark for Flats"),
    FrameKind.LIGHT: ("Light Frame", "LIGHT", "object", "EXPOSE", "STANDARD", "science", "Lights"),
}  # fmt: skip


@pytest.mark.parametrize(("word", "kind"), [(word, kind) for kind, words in WORDS.items() for word in words])
def test_each_word_names_its_kind(word: str, kind: FrameKind) -> None:
    assert kind_of_word(word) is kind


@pytest.mark.parametrize("word", ["SNAPSHOT", "FOCUS", "banana", "ARC", "POINTING", "", "Tricolor"])
def test_other_words_name_no_kind(word: str) -> None:
    assert kind_of_word(word) is None


@pytest.mark.parametrize(
    ("word", "is_master"),
    [("Master Dark", True), ("masterFlat", True), ("Dark Frame", False), ("Light", False), ("STACKED", True)],
)
def test_masters_are_recognised_by_their_words(word: str, *, is_master: bool) -> None:
    assert names_a_master(word) is is_master
