import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve

curves = st.dictionaries(st.integers(1, 4096), st.floats(1e-3, 1e3)).map(PanelCurve.through)


@given(curves, st.floats(1, 4096), st.floats(1, 4096))
def test_more_brightness_is_more_light(curve: PanelCurve, one: float, other: float) -> None:
    if one < 0.999 * other:
        assert curve.light(one) < curve.light(other)


@given(curves, st.floats(1, 4096))
def test_brightness_inverts_light(curve: PanelCurve, brightness: float) -> None:
    assert curve.brightness(curve.light(brightness)) == pytest.approx(brightness, rel=1e-6)


def test_an_unknown_panel_is_proportional() -> None:
    assert PROPORTIONAL.light(40) == pytest.approx(4 * PROPORTIONAL.light(10))


def test_a_curve_passes_through_its_points() -> None:
    curve = PanelCurve.through({10: 1.0, 100: 3.0, 200: 4.0})
    assert [curve.light(brightness) for brightness in (10, 100, 200)] == pytest.approx([1, 3, 4])


def test_a_power_law_is_extrapolated() -> None:
    curve = PanelCurve.through({10: 10**1.8, 50: 50**1.8})
    assert curve.light(200) == pytest.approx(200**1.8)
    assert curve.light(30) == pytest.approx(30**1.8)


def test_old_points_are_rescaled_to_new_ones() -> None:
    old = PanelCurve.through({10: 1.0, 100: 3.0})
    new = old.extended({100: 30.0, 200: 50.0})
    assert [new.light(brightness) for brightness in (10, 100, 200)] == pytest.approx([10, 30, 50])
    assert old.extended({}) is old
