"""Nights for lights of a program that names the rig differently from its drivers."""

from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits

from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.frames.matching import best_master
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.library.library import Library
from coldframe.capture.events.kinds import MasterWritten
from coldframe.capture.flats.light_checks import library_flat_shape
from coldframe.capture.planning.light_words import LightWords, MosaicWords
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.rig import Rig
from tests.nights.nights import NightRun, files_in, run_night
from tests.nights.test_resuming import assert_whole, ended_run, nth
from tests.nights.test_troubled_nights import SMALL, Wrapped, short

pytestmark = pytest.mark.looptime

CAMERA = "Coldframe Camera"
SHAPE = (120, 160)
WORDS = LightWords(
    train={"TELESCOP": "Esprit 100", "FOCALLEN": 550.0},
    camera="My Astro Camera",
    filters={"Ha": "HA"},
    mosaic=MosaicWords("RGGB", SHAPE, {"BAYERPAT": "RGGB", "XBAYROFF": 0, "YBAYROFF": 0}),
)


class OnMount(Wrapped):
    """A camera whose driver writes the mount's name as that of the telescope."""

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return replace(frame, header={**frame.header, "TELESCOP": "EQMod Mount"})


def on_mount(rig: Rig) -> Rig:
    return replace(rig, camera=OnMount(rig.camera))


def assert_fits_lights(night: NightRun) -> None:
    """Check that raw flats and masters have the words of the lights and the rig's own, and that the flats fit."""
    raw = [read_header(path) for path in files_in(night.folder, "flats/*/*.fits")]
    masters = [read_header(Path(event.path)) for event in night.of(MasterWritten)]
    for header in (*raw, *masters):
        assert (header["TELESCOP"], header["CFTELESC"]) == ("Esprit 100", "EQMod Mount")
        assert (header["INSTRUME"], header["CFCAMERA"]) == ("My Astro Camera", CAMERA)
        assert (header["FOCALLEN"], header["BAYERPAT"], "CFFOCLEN" in header) == (550, "RGGB", False)
    flats = [header for header in masters if header["CFROLE"] == "FLAT"]
    assert {(header["FILTER"], header.get("CFFILTER")) for header in flats} == {("L", None), ("HA", "Ha")}
    assert all("FILTER" not in header for header in masters if header["CFROLE"] == "DARK")
    library = Library(night.folder.parent / "library").catalogue().setups
    assert {path.parents[1].name for path in library} == {"Coldframe-Camera"}
    for header in flats:
        light = replace(setup_of(header), kind=FrameKind.LIGHT)
        match = best_master(light, library, FrameKind.FLAT)
        assert (match.path is not None, match.caveats) == (True, ())


async def test_the_masters_of_a_night_fit_its_lights(tmp_path: Path) -> None:
    settings = short()
    night = await run_night(settings, SMALL, tmp_path, on_mount, words=WORDS)
    assert_whole(night, settings)
    assert_fits_lights(night)
    flat = next(path for path in files_in(night.folder, "flats/*/*.fits") if "_Ha_" in path.name)
    card = fits.getheader(flat).cards["FILTER"]
    assert (card.value, card.comment) == ("HA", "filter, as in the lights")


async def test_a_night_with_the_lights_words_is_resumed(tmp_path: Path) -> None:
    settings = short()
    await ended_run(settings, SMALL, tmp_path, nth(FrameKind.FLAT, 3), on_mount, words=WORDS)
    before = files_in(tmp_path, "20*/flats/*/*.fits")
    night = await run_night(settings, SMALL, tmp_path, on_mount, words=WORDS)
    assert_whole(night, settings)
    assert_fits_lights(night)
    assert len(before) == 3
    assert len(files_in(night.folder, "flats/*/*.fits")) == 12


async def test_flats_with_and_without_the_lights_words_are_compared_for_shadows(tmp_path: Path) -> None:
    words = replace(WORDS, mosaic=None)
    night = await run_night(short(), SMALL, tmp_path / "with", on_mount, words=words)
    other = await run_night(short(), SMALL, tmp_path / "without", on_mount)
    for one, another in ((night, other), (other, night)):
        flat = next(path for path in files_in(one.folder, "flats/*/*.fits") if "_Ha_" in path.name)
        assert library_flat_shape(another.folder.parent / "library", flat) is not None
