"""Light on dark frames causes one more attempt, and then no darks while the light persists."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coldframe.capture.events.kinds import Notice
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.shooting import light_leak_retry
from coldframe.capture.shooting.light_leak_retry import LightLeakRetry
from coldframe.capture.shooting.set_frames import LightLeakError
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkInputs
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind
from tests.capture.contexts import READOUT, context_in

BIAS = ShootStep(FrameKind.BIAS, 9, None, None, READOUT, None)
DARK = ShootStep(FrameKind.DARK, 9, None, 60.0, READOUT, None)
LEAK = LightLeakError("brighter in the upper left corner")


def dark_but(leak: str | None) -> Any:
    return SimpleNamespace(leak=leak)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace the shooting of sets by a list of results: errors, or sets with a leak."""
    results: list[Any] = []

    class Scripted:
        def __init__(self, *_args: object) -> None:
            pass

        async def run(self) -> Any:
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

    monkeypatch.setattr(light_leak_retry, "SetShooting", Scripted)
    return results


async def test_a_set_with_light_from_the_start_gets_a_second_attempt(tmp_path: Path, attempts: list[Any]) -> None:
    context, seen = context_in(tmp_path)
    attempts[:] = [LEAK, good := dark_but(None)]
    assert await LightLeakRetry(context).shoot(1, BIAS, BiasInputs(0.001)) is good
    assert sum("upper left" in event.text for event in seen if isinstance(event, Notice)) == 1


async def test_after_two_attempts_with_light_no_darks_are_shot(tmp_path: Path, attempts: list[Any]) -> None:
    context, _ = context_in(tmp_path)
    retry = LightLeakRetry(context)
    attempts[:] = [LEAK, LEAK]
    with pytest.raises(StepFailedError, match="cover the telescope"):
        await retry.shoot(1, DARK, DarkInputs(60.0))
    with pytest.raises(StepSkippedError, match="upper left"):
        await retry.shoot(2, DARK, DarkInputs(60.0))
    attempts[:] = [dark_but(None)]
    await retry.shoot(3, BIAS, BiasInputs(0.001))
    assert not attempts, "a bias is too short for the leak"


@pytest.mark.parametrize(("leak", "is_skipped"), [("brighter in the upper left corner", True), (None, False)])
async def test_a_leak_that_ended_a_set_with_a_master_counts_for_the_next_darks(
    tmp_path: Path,
    attempts: list[Any],
    leak: str | None,
    is_skipped: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    context, _ = context_in(tmp_path)
    retry = LightLeakRetry(context)
    attempts[:] = [dark_but(leak), dark_but(None)]
    await retry.shoot(1, DARK, DarkInputs(60.0))
    if is_skipped:
        with pytest.raises(StepSkippedError):
            await retry.shoot(2, DARK, DarkInputs(60.0))
    else:
        await retry.shoot(2, DARK, DarkInputs(60.0))
    assert bool(attempts) is is_skipped
