import math

import pytest

from coldframe.calibration.files.cards import HeaderValue
from coldframe.devices.indi.pixels.gain_card import GainCard


@pytest.mark.parametrize("stated", [100, 100.0, 100.4])
def test_the_same_gain_agrees(stated: float) -> None:
    assert GainCard().contradiction({"GAIN": stated}, 100.0) == ""


@pytest.mark.parametrize(("stated", "gain"), [(0, 100.0), (102, 100.0), (-25.0, 25.0), (1, 0.0)])
def test_another_gain_contradicts(stated: float, gain: float) -> None:
    assert GainCard().contradiction({"GAIN": stated}, gain) == f"with gain {stated:g} instead of {gain:g}"


@pytest.mark.parametrize("header", [{}, {"GAIN": "High"}, {"GAIN": True}, {"GAIN": math.nan}])
def test_a_card_that_states_no_number_says_nothing(header: dict[str, HeaderValue]) -> None:
    assert GainCard().contradiction(header, 100.0) == ""


def test_a_gain_that_was_not_commanded_is_not_compared() -> None:
    assert GainCard().contradiction({"GAIN": 7}, None) == ""


def test_a_card_that_agreed_once_is_always_believed() -> None:
    card = GainCard()
    assert card.contradiction({"GAIN": 100}, 100.0) == ""
    assert all(card.contradiction({"GAIN": 0}, 100.0) for _ in range(5))
    assert card.remark() == ""


def test_a_card_that_never_agreed_costs_two_frames_and_is_remarked_once() -> None:
    card = GainCard()
    assert [bool(card.contradiction({"GAIN": 0.8}, 100.0)) for _ in range(4)] == [True, True, False, False]
    assert "with gain 0.8 instead of 100 (card GAIN)" in card.remark()
    assert card.remark() == ""
