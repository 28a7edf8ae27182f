"""Quantities as text."""

import pytest

from coldframe.capture.monitoring.progress.quantities import (
    duration_text,
    exposure_text,
    noise_text,
    printable,
    short_duration_text,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3599, "1 h 00 min"),
        (3840, "1 h 04 min"),
        (90_000, "25 h 00 min"),
        (float("inf"), "-"),
        (float("nan"), "-"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("exposure_s", "words"), [(300, "300 s"), (0.842, "0.842 s"), (3.2e-5, "0.032 ms"), (0, "0 s")]
)
def test_exposures(exposure_s: float, words: str) -> None:
    assert exposure_text(exposure_s) == words


def test_printable_keeps_letters_and_drops_controls() -> None:
    assert printable("Hé\x1b[2J\n\tok\x00") == "Hé [2J ok"


@pytest.mark.parametrize(
    ("seconds", "words"), [(119, "119 s"), (3540, "59 min"), (3840, "1 h 04"), (float("nan"), "-")]
)
def test_short_durations(seconds: float, words: str) -> None:
    assert short_duration_text(seconds) == words


@pytest.mark.parametrize(("noise_adu", "words"), [(0.1234, "0.123"), (99.9, "99.9"), (1234.5, "1,234")])
def test_noises(noise_adu: float, words: str) -> None:
    assert noise_text(noise_adu) == words
