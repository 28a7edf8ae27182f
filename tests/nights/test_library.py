"""The files that a night adds to the library."""

from pathlib import Path

import pytest

from coldframe.calibration.library.library import Library
from coldframe.capture.events.kinds import MasterWritten, Notice
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from tests.nights.nights import run_night, tiny

pytestmark = pytest.mark.looptime

SMALL = tiny(load_rig("small"))


def short() -> Settings:
    """Return the small rig's night with few frames."""
    settings = load_settings(example_night("small"))
    return settings.model_copy(update={"sets": tuple(each.model_copy(update={"count": 3}) for each in settings.sets)})


async def test_every_master_is_filed(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path)
    written = [Path(event.path) for event in night.of(MasterWritten)]
    library = Library(tmp_path / "library")
    assert len(library.catalogue().headers) == len(written) == len(short().sets)
    assert all(library.file(path).samefile(path) for path in written)
    assert all(fault is None for _, fault in library.verify())


async def test_a_second_night_adds_and_replaces_nothing(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    await run_night(short(), SMALL, tmp_path)
    first = {path: path.read_bytes() for path in library.catalogue().headers}
    # Another specimen of the camera: the very same night would give the very same masters, which are filed once.
    await run_night(short(), SMALL.model_copy(update={"seed": 2}), tmp_path)
    assert len(library.catalogue().headers) == 2 * len(first)
    assert all(path.read_bytes() == content for path, content in first.items())


async def test_a_library_that_cannot_be_written_is_told_and_the_night_goes_on(tmp_path: Path) -> None:
    (tmp_path / "library").write_text("a file where the folder should be")
    night = await run_night(short(), SMALL, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    warnings = [notice.text for notice in night.of(Notice) if notice.severity is Severity.WARNING]
    unfiled = [text for text in warnings if text.startswith("the master was not added to the library: ")]
    assert len(unfiled) == len(short().sets)
