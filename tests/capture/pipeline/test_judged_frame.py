"""A frame with its verdict, and the colour filter array of the frames."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coldframe.calibration.measuring.statistics import measure
from coldframe.capture.events.kinds import Notice
from coldframe.capture.judging.frame_gate import FrameGate
from coldframe.capture.pipeline.judged_frame import cfa_pattern_of_frames, judge_frame
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.rig import Rig
from tests.capture.contexts import context_in, frame_of


def test_a_frame_shot_wrong_is_rejected_and_its_pixels_do_not_come_again() -> None:
    gate, frame = FrameGate(FrameKind.BIAS), frame_of(1)
    measurement = measure(frame.pixels)
    wrong = judge_frame(frame, "too warm", measurement, gate)
    assert wrong.fault is not None
    assert wrong.fault.reason == "too warm"
    again = judge_frame(frame, None, measurement, gate)
    assert again.fault is not None
    assert "repeated" in again.fault.reason
    good = judge_frame(frame_of(2), None, measure(frame_of(2).pixels), gate)
    assert good.fault is None
    assert good.digest != wrong.digest


def test_a_frame_shot_wrong_is_no_reference_for_the_next_ones() -> None:
    gate = FrameGate(FrameKind.BIAS)
    for frame, fault in ((frame_of(1, level_adu=3000.0), "too warm"), (frame_of(2), None)):
        judged = judge_frame(frame, fault, measure(frame.pixels), gate)
        assert (judged.fault is None) is (fault is None)


@pytest.mark.parametrize(
    ("pattern", "binning", "kind", "expected", "warns"),
    [
        ("RGGB", 1, FrameKind.FLAT, "RGGB", False),
        ("RGGB", 2, FrameKind.FLAT, None, False),
        (None, 1, FrameKind.FLAT, None, False),
        ("CYGM", 1, FrameKind.FLAT, None, True),
        ("CYGM", 1, FrameKind.DARK, None, False),
    ],
)
async def test_only_known_patterns_of_unbinned_pixels_count(
    tmp_path: Path,
    pattern: str | None,
    binning: int,
    kind: FrameKind,
    expected: str | None,
    *,
    warns: bool,
) -> None:
    context, seen = context_in(tmp_path)
    features = replace(context.rig.camera.features, cfa_pattern=pattern)
    camera: Any = SimpleNamespace(name="Camera", features=features)
    context = replace(context, rig=Rig(camera))
    assert cfa_pattern_of_frames(context, ReadoutSettings(binning=binning), kind) == expected
    assert bool([event for event in seen if isinstance(event, Notice)]) is warns
