"""The gain that the headers of several lights state together."""

from pathlib import Path

import pytest

from coldframe.calibration.diagnosis.header_evidence import stated_gain
from coldframe.calibration.files.cards import HeaderValue


@pytest.mark.parametrize(
    ("values", "gain", "reason"),
    [
        ((), None, ""),
        ((None, None), None, ""),
        ((0.8, None, 0.8), 0.8, ""),
        ((0.8, 0.804), 0.8, ""),
        ((0.8, 3.2), None, "values from 0.8 to 3.2"),
        ((0.8, "0,8"), None, "'0,8' in 1.fits is not a number above 0"),
        ((0.0,), None, "0.0 in 0.fits is not a number above 0"),
        ((True,), None, "True in 0.fits is not a number above 0"),
    ],
)
def test_gains_count_only_if_all_headers_agree(
    values: tuple[HeaderValue | None, ...], gain: float | None, reason: str
) -> None:
    found, why = stated_gain([(Path(f"{number}.fits"), value) for number, value in enumerate(values)])
    assert found == gain
    assert (why is not None) is bool(reason)
    assert reason in (why or "")
