"""Cameras behind INDI's driver for gphoto: sizes, shutter times, bulb, and BLOBs in the camera's own format."""

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from typing import Any

import numpy as np
import pytest

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Limits, RawFile, ShutterTimes, StrayFrame
from coldframe.devices.errors import DeviceError, FrameDamagedError, NotSupportedError
from coldframe.devices.indi.abilities import file_format
from coldframe.devices.indi.abilities.shutter import seconds_of
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from coldframe.simulators.dng import dng_file
from tests.devices.indi.fake_server import CAMERA, SHAPE, FakeServer, blob, define_number, exposure, fits_bytes, number
from tests.patience import PATIENCE_S

UNKNOWN: dict[str, tuple[float, float, float]] = {
    "CCD_MAX_X": (0, 0, 0),
    "CCD_MAX_Y": (0, 0, 0),
    "CCD_BITSPERPIXEL": (8, 16, 8),
}
HEIGHT, WIDTH = 48, 64

needs_rawpy = pytest.mark.skipif(find_spec("rawpy") is None, reason="rawpy is not installed")


@pytest.fixture
def dslr(server: FakeServer) -> FakeServer:
    """Make the server's camera a DSLR that sends FITS."""
    del server.numbers["CCD_GAIN"]
    server.numbers["CCD_INFO"] = UNKNOWN
    server.switches |= {
        "CCD_ISO": {"100": True, "800": False},
        "CCD_TRANSFER_FORMAT": {"FORMAT_FITS": True, "FORMAT_NATIVE": False},
        "CCD_EXPOSURE_PRESETS": {"1/4000": True, "1/50": False, "0.3": False, "30": False, "bulb": False},
        "CCD_FORCE_BLOB": {"On": True, "Off": False},
    }

    async def deliver(values: dict[str, str]) -> None:
        await exposed(values)
        server.send_pixels(blob(fits_bytes()))
        # The driver learns the size from each frame.
        server.send(number("CCD_INFO", "Ok", CCD_MAX_X=SHAPE[1], CCD_MAX_Y=SHAPE[0]), exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = deliver
    return server


async def exposed(values: dict[str, str]) -> float:
    """Wait for the end of a short exposure, and return the commanded seconds."""
    seconds = float(values["CCD_EXPOSURE_VALUE"])
    await asyncio.sleep(min(seconds, 0.5))
    return seconds


def sends_raws(server: FakeServer, **described: Any) -> None:
    """Have the camera deliver a new DNG for each exposure."""
    numbers = count()

    async def deliver(values: dict[str, str]) -> None:
        pixels = np.random.default_rng(next(numbers)).integers(1000, 1200, (HEIGHT, WIDTH)).astype(np.uint16)
        seconds = await exposed(values)
        taken = f"2026:11:20 22:00:{next(numbers):02d}"
        shot: dict[str, Any] = {"exposure": (round(seconds * 4000), 4000), "iso": 800, "taken": taken} | described
        server.send_pixels(blob(dng_file(pixels, **shot), ".dng"))
        server.send(exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = deliver


def camera_of(
    server: FakeServer, link: IndiLink, file_format: Any = "fits", take: Callable[[StrayFrame], None] = lambda _: None
) -> IndiCamera:
    address = ServerAddress("127.0.0.1", server.port)
    return IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S, file_format=file_format, set_aside=take)


async def test_a_first_frame_shows_the_size_and_is_kept(dslr: FakeServer, link: IndiLink) -> None:
    strays: list[StrayFrame] = []
    camera = camera_of(dslr, link, take=strays.append)
    await camera.connect()
    assert (camera.features.height, camera.features.width) == SHAPE
    (stray,) = strays
    assert stray.was_requested
    assert "to learn the size of the sensor" in stray.reason
    (order,) = dslr.ordered("CCD_EXPOSURE")
    assert float(order["CCD_EXPOSURE_VALUE"]) == pytest.approx(1 / 4000)
    assert dslr.ordered("CCD_FRAME")[-1]["WIDTH"] == str(SHAPE[1])
    await camera.close()


async def test_a_driver_that_shows_no_region_is_not_blamed_on_another_client(dslr: FakeServer, link: IndiLink) -> None:
    async def deliver(values: dict[str, str]) -> None:
        await exposed(values)
        dslr.send_pixels(blob(fits_bytes(shape=(HEIGHT, WIDTH))))  # larger than the rounding of regions
        dslr.send(exposure("Busy"), exposure("Ok"))

    dslr.numbers["CCD_FRAME"] = dict.fromkeys(("X", "Y", "WIDTH", "HEIGHT"), (0, 0, 0))
    dslr.answers["CCD_EXPOSURE"] = deliver  # and never learn the size
    camera = camera_of(dslr, link)
    await camera.connect()
    await camera.apply(ReadoutSettings(gain=100))
    frame = await camera.expose(FrameKind.BIAS, 1 / 4000)
    assert frame.pixels.shape == (HEIGHT, WIDTH)
    assert frame.remarks == ()
    await camera.close()


async def test_a_driver_that_waits_for_the_size_of_the_pixels_is_explained(dslr: FakeServer, link: IndiLink) -> None:
    sizes = dict.fromkeys(("CCD_PIXEL_SIZE", "CCD_PIXEL_SIZE_X", "CCD_PIXEL_SIZE_Y"), (0.0, 40.0, 0.0))
    dslr.numbers["CCD_INFO"] = UNKNOWN | sizes
    camera = camera_of(dslr, link)
    with pytest.raises(NotSupportedError, match=r"size of the pixels.*Enter the size in micrometres in CCD_PIXEL_SIZE"):
        await camera.connect()
    assert dslr.ordered("CCD_EXPOSURE") == []
    await camera.close()


@pytest.mark.parametrize(
    ("label", "seconds"),
    [
        *[
            ("1/4000", 1 / 4000),
            ("0.3", 0.3),
            ("30", 30.0),
            ("2m", 120.0),
            ("bulb", None),
            ("Auto", None),
            ("1/0", None),
        ],
        *[("0.4s", 0.4), ("60s", 60.0), ("0.0001s", 0.0001), ("30.0000s", 30.0), ("0,0002s", 0.0002), ("x 250", None)],
    ],
)
def test_labels_of_shutter_times(label: str, seconds: float | None) -> None:
    assert seconds_of(label) == seconds


def test_only_listed_exposures_are_possible_below_bulb() -> None:
    shutter = ShutterTimes((1 / 4000, 1 / 50, 0.3, 30.0), 1.0)
    assert [shutter.nearest_s(each) for each in (1e-5, 0.019, 0.2, 45.0)] == [1 / 4000, 1 / 50, 0.3, 45.0]
    assert [shutter.offers(each) for each in (0.0201, 0.021, 2.5)] == [True, False, True]
    without_bulb = ShutterTimes((0.5, 30.0))
    assert without_bulb.nearest_s(120.0) == 30.0
    assert not without_bulb.offers(120.0)


async def test_short_exposures_are_timed_by_the_camera_and_long_ones_as_the_user_has_set(
    dslr: FakeServer, link: IndiLink
) -> None:
    camera = camera_of(dslr, link)
    await camera.connect()
    frame = await camera.expose(FrameKind.FLAT, 0.021)
    assert frame.exposure_s == 0.02
    assert float(dslr.ordered("CCD_EXPOSURE")[-1]["CCD_EXPOSURE_VALUE"]) == pytest.approx(0.02)
    assert dslr.ordered("CCD_FORCE_BLOB")[-1] == {"Off": "On"}
    dslr.switches["CCD_FORCE_BLOB"] = {"On": False, "Off": True}
    with pytest.raises(DeviceError):  # the scripted frame arrives at once, which is too early
        await camera.expose(FrameKind.DARK, 45.0)
    assert dslr.ordered("CCD_FORCE_BLOB")[-1] == {"On": "On"}
    assert dslr.ordered("CCD_EXPOSURE")[-1] == {"CCD_EXPOSURE_VALUE": "45"}
    await camera.close()


async def test_without_bulb_the_longest_exposure_is_the_longest_of_the_list(dslr: FakeServer, link: IndiLink) -> None:
    dslr.switches["CCD_EXPOSURE_PRESETS"] = {"1/4000": True, "1/50": False, "30": False}
    camera = camera_of(dslr, link)
    await camera.connect()
    assert camera.features.exposure_s == Limits(1 / 4000, 30.0)
    await camera.close()


@needs_rawpy
async def test_a_raw_is_delivered_with_its_bytes(dslr: FakeServer, link: IndiLink) -> None:
    sends_raws(dslr, active=(8, 8, HEIGHT, WIDTH))
    camera = camera_of(dslr, link, "raw")
    await camera.connect()
    assert dslr.ordered("CCD_TRANSFER_FORMAT") == [{"FORMAT_NATIVE": "On"}]
    await camera.apply(ReadoutSettings(gain=800))
    frame = await camera.expose(FrameKind.FLAT, 0.02)
    assert frame.raw is not None
    assert frame.raw.suffix == ".dng"
    assert frame.raw.content.startswith(b"II*")
    assert frame.pixels.shape == (HEIGHT - 8, WIDTH - 8) == (camera.features.height, camera.features.width)
    assert (frame.header["INSTRUME"], frame.header["CFCAMERA"]) == ("Coldframe D1", CAMERA)
    assert camera.features.cfa_pattern == "RGGB"
    assert dslr.ordered("CCD_FRAME") == []  # the driver refuses regions of raws
    with pytest.raises(NotSupportedError, match="cannot bin camera raws"):
        await camera.apply(ReadoutSettings(gain=800, binning=2))
    await camera.close()


@needs_rawpy
@pytest.mark.parametrize("described", [{"iso": 100}, {"exposure": (1, 2)}])
async def test_a_raw_whose_exif_contradicts_the_request_does_not_count(
    dslr: FakeServer, link: IndiLink, described: dict[str, Any]
) -> None:
    strays: list[StrayFrame] = []
    sends_raws(dslr)
    camera = camera_of(dslr, link, "raw", strays.append)
    await camera.connect()
    await camera.apply(ReadoutSettings(gain=800))
    await camera.expose(FrameKind.FLAT, 0.02)
    sends_raws(dslr, **described)
    with pytest.raises(FrameDamagedError, match=r"gain 100 instead of 800|exposure of 0\.5 s instead of 0\.02 s"):
        await camera.expose(FrameKind.FLAT, 0.02)
    assert isinstance(strays[-1].content, RawFile)
    await camera.close()


async def test_a_jpeg_is_refused_and_raws_are_chosen(dslr: FakeServer, link: IndiLink) -> None:
    dslr.switches["CCD_CAPTURE_FORMAT"] = {"Large Fine JPEG": True, "mRAW": False, "cRAW": False, "RAW": False}

    async def deliver(_values: dict[str, str]) -> None:
        dslr.send_pixels(blob(b"\xff\xd8\xff", ".jpg"))
        dslr.send(exposure("Busy"), exposure("Ok"))

    dslr.answers["CCD_EXPOSURE"] = deliver
    camera = camera_of(dslr, link)
    with pytest.raises(FrameDamagedError, match=r"format '\.jpg' instead of uncompressed FITS or a camera raw"):
        await camera.connect()
    assert dslr.ordered("CCD_CAPTURE_FORMAT") == [{"RAW": "On"}]
    await camera.close()


async def test_raws_without_rawpy_are_refused_before_the_first_exposure(
    dslr: FakeServer, link: IndiLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_format, "find_spec", lambda _: None)
    camera = camera_of(dslr, link, "raw")
    with pytest.raises(NotSupportedError, match=r"pip install rawpy, or set camera\.file_format = \"fits\""):
        await camera.connect()
    assert dslr.ordered("CCD_EXPOSURE") == []
    await camera.close()


async def test_other_cameras_offer_no_raws(server: FakeServer, link: IndiLink) -> None:
    camera = camera_of(server, link, "raw")
    with pytest.raises(NotSupportedError, match=r"does not offer the raws of a DSLR.*file_format = \"fits\""):
        await camera.connect()
    await camera.close()


@needs_rawpy
async def test_a_driver_without_fits_sends_raws_and_says_so(dslr: FakeServer, link: IndiLink) -> None:
    dslr.switches["CCD_TRANSFER_FORMAT"] = {"FORMAT_NATIVE": True}
    sends_raws(dslr)
    camera = camera_of(dslr, link)
    await camera.connect()
    (note,) = camera.features.notes
    assert note.startswith("its driver does not send FITS: frames are kept as the camera's own raws")
    assert (await camera.expose(FrameKind.FLAT, 0.02)).raw is not None
    await camera.close()


async def test_the_note_on_fits_names_the_other_format(dslr: FakeServer, link: IndiLink) -> None:
    camera = camera_of(dslr, link)
    await camera.connect()
    (note,) = camera.features.notes
    assert 'camera.file_format = "raw"' in note
    await camera.close()


async def test_shutter_times_of_fujifilm_count_and_unknown_ones_are_named(dslr: FakeServer, link: IndiLink) -> None:
    labels = ("1/4000", "0.4s", "1s", "30s", "60s", "x 250", "Auto")
    dslr.switches["CCD_EXPOSURE_PRESETS"] = {label: label == "1s" for label in labels}
    camera = camera_of(dslr, link)
    await camera.connect()
    assert camera.features.shutter == ShutterTimes((1 / 4000, 0.4, 1.0, 30.0, 60.0))
    (note,) = (note for note in camera.features.notes if "shutter times" in note)
    assert note.endswith("'x 250'")
    await camera.close()


async def test_the_size_that_the_driver_has_of_another_session_is_not_believed(
    dslr: FakeServer, link: IndiLink
) -> None:
    """After camera raws, the driver has the size of their previews, and cuts the first frame to it."""
    height, width = SHAPE[0] - 2, SHAPE[1] - 2
    dslr.numbers["CCD_INFO"] = UNKNOWN | {"CCD_MAX_X": (0, 9999, width), "CCD_MAX_Y": (0, 9999, height)}
    regions: list[tuple[int, int]] = []

    async def deliver(values: dict[str, str]) -> None:
        await exposed(values)
        region = dslr.ordered("CCD_FRAME")[-1]
        regions.append((int(region["HEIGHT"]), int(region["WIDTH"])))
        dslr.send_pixels(blob(fits_bytes(shape=regions[-1])))
        dslr.send(number("CCD_INFO", "Ok", CCD_MAX_X=SHAPE[1], CCD_MAX_Y=SHAPE[0]), exposure("Busy"), exposure("Ok"))

    dslr.answers["CCD_EXPOSURE"] = deliver
    camera = camera_of(dslr, link)
    await camera.connect()
    assert regions == [(height, width), SHAPE]
    assert (camera.features.height, camera.features.width) == SHAPE
    assert (await camera.expose(FrameKind.FLAT, 0.02)).pixels.shape == SHAPE
    await camera.close()


@pytest.mark.parametrize(("state", "sensor_c"), [("Idle", None), ("Alert", None), ("Ok", 0.0)])
async def test_zero_degrees_without_a_reading_are_no_temperature(
    dslr: FakeServer, link: IndiLink, state: str, sensor_c: float | None
) -> None:
    dslr.more = define_number("CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": (-50, 60, 0.0)}, state)
    camera = camera_of(dslr, link)
    await camera.connect()
    assert camera.thermals().sensor_c == sensor_c
    assert camera.features.reports_temperature == (sensor_c is not None)
    assert (await camera.expose(FrameKind.FLAT, 0.02)).sensor_c == sensor_c
    await camera.close()


async def test_a_cooled_camera_keeps_its_reading_in_alert(server: FakeServer, link: IndiLink) -> None:
    server.more = define_number("CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": (-50, 60, -9.5)}, "Alert")
    camera = camera_of(server, link)
    await camera.connect()
    assert camera.thermals().sensor_c == -9.5
    await camera.close()


async def test_a_cooled_camera_has_no_raws_although_its_driver_lists_native_files(
    server: FakeServer, link: IndiLink
) -> None:
    server.switches["CCD_TRANSFER_FORMAT"] = {"FORMAT_FITS": True, "FORMAT_NATIVE": False}
    camera = camera_of(server, link, "raw")
    with pytest.raises(NotSupportedError, match=r"raws of a DSLR.*file_format = \"fits\""):
        await camera.connect()
    await camera.close()
