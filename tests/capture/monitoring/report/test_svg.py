"""Charts as SVG, with axes, curves, and values that are not finite."""

import math
import xml.etree.ElementTree as ET

from coldframe.capture.monitoring.report.svg import Axis, Chart, decades, number_texts, padded, round_values


def test_ticks_are_round_values_in_the_range() -> None:
    assert round_values(0, 34) == (0, 10, 20, 30)
    assert round_values(25.6, 26.1) == (25.6, 25.7, 25.8, 25.9, 26.0, 26.1)
    assert decades(0.7, 2_000_000) == (1, 100, 10_000, 1_000_000)
    assert decades(3, 9) == (4, 6, 8)
    assert number_texts((0.0, 2500.0)) == ("0", "2,500")
    assert number_texts((0.1, 0.25)) == ("0.10", "0.25")


def test_positions_are_clipped_to_the_axis() -> None:
    axis = Axis(0.0, 10.0, "x")
    assert [axis.place(value) for value in (-5.0, 0.0, 5.0, 10.0, 99.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert Axis(1.0, 100.0, "x", logarithmic=True).place(10.0) == 0.5


def test_an_axis_without_a_length_has_no_ticks() -> None:
    for axis in (Axis(1.0, 1.0, "x"), Axis(0.0, math.inf, "x"), Axis(0.0, 1.0, "x", logarithmic=True)):
        assert not axis.is_sane
        assert axis.marks == []
        assert axis.place(7.0) == 0.5


def test_a_padded_axis_covers_all_finite_values() -> None:
    axis = padded([3.0, math.nan, 5.0, math.inf], "x")
    assert 2.0 < axis.low < 3.0
    assert 5.0 < axis.high < 6.0
    assert padded([], "x").is_sane


def test_a_curve_is_interrupted_where_values_are_missing() -> None:
    chart = Chart(Axis(0, 4, "x"), Axis(0, 1, "y"), "description")
    chart.line([(0, 0.5), (1, 0.5), (2, None), (3, math.nan), (4, 0.5)])
    (path,) = (each for each in ET.fromstring(str(chart.drawn())).iter("path") if each.get("class") == "line")
    assert path.attrib["d"].count("M") == 2


def test_texts_are_escaped() -> None:
    chart = Chart(Axis(0, 1, "<b>"), Axis(0, 1, "y"), "<script>")
    assert "<script>" not in chart.drawn()
    assert ET.fromstring(str(chart.drawn())).attrib["aria-label"] == "<script>"


def test_labels_of_millions_are_short_enough_for_the_margin() -> None:
    texts = [text for _, text in Axis(0.7, 5.2e7, "pixels", logarithmic=True).marks]
    assert "1 M" in texts or "10 M" in texts
    assert all(len(text) <= len("100,000") for text in texts)
