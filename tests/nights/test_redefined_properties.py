"""Nights drawn from seeds, on which drivers delete and redefine their properties. The oracle judges each night."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterator

import pytest

from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.values import NightOutcome
from coldframe.simulators.cards import CAMERA_NAME, PANEL_NAME, WHEEL_NAME
from tests.nights.oracle import judge
from tests.nights.random_nights import TroubledRun
from tests.nights.redefining import Redefinition, draw_redefinitions, keep, run

COMPLETE = NightOutcome.COMPLETE
MOST_ALIKE = 8
"""Notices with the same text: a set has three retries and may report its failure once more; two sets may fail alike."""

NIGHTS_AT_A_TIME = 5


def play(seed: int) -> list[str]:
    """Run a drawn night, and return what is wrong."""
    redefinitions = draw_redefinitions(seed)
    title = f"seed {seed}: {'; '.join(map(str, redefinitions))}"
    try:
        with run(redefinitions, seed) as left:
            wrong = [*judge(left).wrong, *said_too_often(left), *unsafe(left, redefinitions)]
    except Exception:  # noqa: BLE001  # the report must name the seed
        wrong = [traceback.format_exc(limit=-8)]
    return [f"{title}: {each}" for each in wrong]


def said_too_often(left: TroubledRun) -> Iterator[str]:
    said = Counter(event.text for event in left.events if isinstance(event, Notice))
    return (f"said {count} times: {text}" for text, count in said.items() if count > MOST_ALIKE)


def unsafe(left: TroubledRun, redefinitions: list[Redefinition]) -> Iterator[str]:
    """Yield what is wrong with a night on which no property was redefined."""
    if not any(each.met for each in redefinitions) and left.outcome is not COMPLETE:
        yield f"{left.outcome}, although nothing was redefined"


def assert_nothing_wrong(first: int, count: int, caplog: pytest.LogCaptureFixture) -> None:
    wrong = [text for seed in range(first, first + count) for text in play(seed)]
    assert not wrong, "\n".join(wrong)
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info] == []


def test_properties_that_are_redefined_at_drawn_moments(caplog: pytest.LogCaptureFixture) -> None:
    assert_nothing_wrong(0, NIGHTS_AT_A_TIME, caplog)


@pytest.mark.parametrize(
    ("device", "name", "after_s"),
    [
        (CAMERA_NAME, "CCD_TEMPERATURE", 2.0),
        (CAMERA_NAME, "CCD_EXPOSURE", 40.0),
        (CAMERA_NAME, "CCD_FRAME", 30.0),
        (PANEL_NAME, "FLAT_LIGHT_INTENSITY", 30.0),
        (PANEL_NAME, "CAP_PARK", 30.0),
        (WHEEL_NAME, "FILTER_SLOT", 20.0),
    ],
)
def test_a_property_that_is_gone_for_a_while_costs_no_set(device: str, name: str, after_s: float) -> None:
    """Some of these nights lost sets, because a removed property counted as one that does not exist."""
    gone = Redefinition(device, name, after_s, at_order=0, gone_s=20.0, lasts_s=0.0, alterations=[("nothing", keep)])
    with run([gone]) as left:
        assert gone.met
        assert judge(left).wrong == []
        assert left.outcome is COMPLETE


@pytest.mark.parametrize("name", ["POLLING_PERIOD", "UPLOAD_MODE", "CCD_ABORT_EXPOSURE"])
def test_a_property_that_the_camera_can_do_without_and_that_never_comes_back_costs_no_set(name: str) -> None:
    gone = Redefinition(CAMERA_NAME, name, 30.0, at_order=0, gone_s=1e6, lasts_s=0.0, alterations=[("nothing", keep)])
    with run([gone]) as left:
        assert gone.met
        assert judge(left).wrong == []
        assert left.outcome is COMPLETE


@pytest.mark.deep
@pytest.mark.parametrize("first", range(1000, 2000, 50))
def test_properties_that_are_redefined_at_many_drawn_moments(first: int, caplog: pytest.LogCaptureFixture) -> None:
    assert_nothing_wrong(first, 50, caplog)
