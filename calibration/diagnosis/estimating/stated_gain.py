"""The gain that the headers of the lights of one set state together."""

from collections.abc import Sequence
from pathlib import Path

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.lights.files import egain

SAME_GAIN = 0.01
"""Largest relative difference of gains that are regarded as equal; some drivers round them."""


def stated_gain(stated: Sequence[tuple[Path, HeaderValue | None]]) -> tuple[float | None, str | None]:
    """Return the electrons per ADU that all headers state, and the reason if a stated value does not count.

    Parameters
    ----------
    stated
        Each light with the value of its card EGAIN; None without the card.

    Returns
    -------
    e_per_adu
        Electrons per ADU; None if no header states it, or if the headers do not agree.
    reason
        Why values in the headers are ignored; None if none is.
    """
    given = [(path, value) for path, value in stated if value is not None]
    for path, value in given:
        if egain({"EGAIN": value}) is None:
            return None, f"EGAIN is ignored: {value!r} in {path.name} is not a number above 0"
    gains = [gain for _, value in given if (gain := egain({"EGAIN": value})) is not None]
    if not gains:
        return None, None
    if max(gains) > min(gains) * (1 + SAME_GAIN):
        return None, f"EGAIN is ignored: the lights state values from {min(gains):g} to {max(gains):g}"
    return gains[0], None
