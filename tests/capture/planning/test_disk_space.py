"""Checking the disk space for a plan before the night."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.planning.disk_space import RESERVE_BYTES, free_bytes, require_room
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.preflight import UnfitPlanError
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.simulated_rig import load_rig
from coldframe.devices.camera import CameraFeatures, Limits
from tests.nights.nights import run_night, tiny

SETTINGS = load_settings(example_night("small"))
STEPS = plan_night(SETTINGS)


def camera(width: int, height: int) -> CameraFeatures:
    return CameraFeatures(width=width, height=height, bit_depth=16, exposure_s=Limits(0, 100))


def first_misfit(free: int, width: int = 6000, height: int = 4000) -> str | None:
    """Return the title of the first step that does not fit."""
    try:
        require_room(STEPS, camera(width, height), Path("/frames"), free)
    except UnfitPlanError as error:
        return str(error).split("no space for ")[1].split(" and the following")[0]
    return None


@pytest.mark.looptime
async def test_a_night_writes_slightly_less_than_estimated(tmp_path: Path) -> None:
    """The files of a night are smaller than the estimate for its plan, but not much smaller."""
    await run_night(SETTINGS, tiny(load_rig("small")), tmp_path)
    written = sum(path.stat().st_size for path in saved(tmp_path))
    features = camera(160, 120)
    asked = next(free for free in range(0, 1 << 26, 1 << 18) if _fits(features, free + RESERVE_BYTES))
    assert written <= asked <= 3 * written + (1 << 18)


def saved(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.fits") if "library" not in path.parts]


def _fits(features: CameraFeatures, free: int) -> bool:
    try:
        require_room(STEPS, features, Path("/frames"), free)
    except UnfitPlanError:
        return False
    return True


@given(st.integers(0, 1 << 36), st.integers(0, 1 << 34))
def test_more_space_never_fits_fewer_steps(free: int, more: int) -> None:
    titles = [step.title for step in STEPS]
    less_at, more_at = first_misfit(free), first_misfit(free + more)
    assert more_at is None or (less_at is not None and titles.index(less_at) <= titles.index(more_at))


def test_the_message_names_the_first_set_that_does_not_fit() -> None:
    assert first_misfit(0) == STEPS[0].title
    assert first_misfit(1 << 50) is None
    whole = next(free for free in range(0, 1 << 40, 1 << 27) if first_misfit(free) is None)
    assert first_misfit(whole - (1 << 28)) in {step.title for step in STEPS[-3:]}


def test_a_folder_that_does_not_exist_yet_has_the_space_of_its_parent(tmp_path: Path) -> None:
    assert abs(free_bytes(tmp_path / "not" / "yet") - free_bytes(tmp_path)) < 1 << 30
