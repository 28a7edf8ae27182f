"""The camera with the peculiarities of real drivers."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceError, DeviceLostError, DeviceTimeoutError, FrameDamagedError
from coldframe.devices.indi import device
from coldframe.devices.indi import readout as readout_module
from coldframe.devices.indi.camera import BLOB_VECTOR, IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Property
from coldframe.devices.indi.pixels import blob_channel
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from tests.devices.indi.fake_server import (
    CAMERA,
    NUMBERS,
    SHAPE,
    FakeServer,
    blob,
    define_number,
    define_text,
    exposure,
    fits_bytes,
    number,
    switch,
)
from tests.devices.test_rig_ready import seen
from tests.patience import PATIENCE_S, until

TEMPERATURE = {"CCD_TEMPERATURE_VALUE": (-50.0, 50.0, 20.0)}


def sending(server: FakeServer, *messages: str) -> Callable[[dict[str, str]], Awaitable[None]]:
    async def answer(_values: dict[str, str]) -> None:
        server.send(*messages)

    return answer


def shoots(server: FakeServer, *pixels: str) -> None:
    """Answer each order of an exposure with the next of `pixels`."""
    left = list(pixels)

    async def answer(_values: dict[str, str]) -> None:
        server.send_pixels(left.pop(0))
        server.send(exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = answer


async def level(camera: IndiCamera) -> int:
    return int((await camera.expose(FrameKind.DARK, 0.0)).pixels[0, 0])


async def gone(server: FakeServer, camera: IndiCamera) -> None:
    """Disconnect the server, and wait until the link has noticed."""
    await server.hang_up()
    await until(lambda: not camera.link.connected)


# ---- abilities ----


async def test_features_outlast_the_connection(server: FakeServer, camera: IndiCamera) -> None:
    known = camera.features
    await gone(server, camera)
    assert camera.features == known
    assert (known.width, known.height, known.gain) == (SHAPE[1], SHAPE[0], Limits(0, 100, 1))


async def test_a_size_that_is_no_number_is_reported(server: FakeServer, stranger: IndiCamera) -> None:
    server.numbers |= {"CCD_INFO": NUMBERS["CCD_INFO"] | {"CCD_MAX_X": (0, 9999, math.nan)}}
    with pytest.raises(DeviceError, match=r"CCD_INFO.CCD_MAX_X is nan, not a number"):
        await stranger.connect()


async def test_an_empty_range_counts_as_unknown(server: FakeServer, stranger: IndiCamera) -> None:
    server.numbers |= {
        "CCD_EXPOSURE": {"CCD_EXPOSURE_VALUE": (0.0, 0.0, 0.0)},
        "CCD_GAIN": {"GAIN": (0.0, 0.0, 10.0)},
        "CCD_TEMPERATURE": {"CCD_TEMPERATURE_VALUE": (0.0, 0.0, 20.0)},
        "READ_MODE": {"MODE": (0.0, 0.0, 0.0)},
        "CCD_BINNING": {"HOR_BIN": (0.0, 0.0, 1.0), "VER_BIN": (0.0, 0.0, 1.0)},
    }
    await stranger.connect()
    features = stranger.features
    assert features.exposure_s == Limits(0, 3600)
    assert features.gain is None
    assert features.setpoint_c == Limits(-100, 100)
    assert (features.readout_modes, features.maximum_binning) == ((), 1)


@pytest.mark.parametrize(
    ("element", "text", "serial"), [("SN#", "1f2e3d", "1f2e3d"), ("SN", "77", "77"), ("SN", "Unknown", "")]
)
async def test_the_serial_number_is_read_if_the_driver_has_one(
    server: FakeServer, stranger: IndiCamera, element: str, text: str, serial: str
) -> None:
    server.more = define_text("Serial Number", **{element: text})
    await stranger.connect()
    assert stranger.features.serial == serial


async def test_a_camera_without_a_serial_number_has_none(camera: IndiCamera) -> None:
    assert camera.features.serial == ""


async def test_connecting_waits_for_the_properties_of_every_camera(server: FakeServer, stranger: IndiCamera) -> None:
    """A driver may query its hardware for seconds before it defines the first property."""
    del server.numbers["CCD_INFO"]
    connecting = asyncio.create_task(stranger.connect())
    await stranger.link.wait_connected(PATIENCE_S)
    await asyncio.sleep(10 * device.QUIET_S)
    assert not connecting.done()
    server.send(define_number("CCD_INFO", NUMBERS["CCD_INFO"]))
    await connecting
    assert stranger.features.width == SHAPE[1]


async def test_connecting_waits_for_a_property_that_is_defined_late(
    server: FakeServer, stranger: IndiCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver may query its hardware between two definitions as well."""
    monkeypatch.setattr(device, "QUIET_S", 5.0)
    connecting = asyncio.create_task(stranger.connect())
    await until(lambda: stranger.link.mirror.find(CAMERA, BLOB_VECTOR))
    await asyncio.sleep(0.1)
    server.send(define_number("CCD_OFFSET", {"OFFSET": (0, 100, 0)}))
    await connecting
    assert stranger.features.offset == Limits(0, 100, 1)


async def test_a_driver_that_just_came_back_is_read_before_it_is_used(server: FakeServer, camera: IndiCamera) -> None:
    """An exposure may still be running while only its connection is known."""
    await gone(server, camera)
    numbers, server.numbers = server.numbers, {}
    await server.listen()
    await camera.link.wait_connected(PATIENCE_S)
    await camera.link.wait_property(CAMERA, "CONNECTION", PATIENCE_S)
    aborting = asyncio.create_task(camera.abort())
    await asyncio.sleep(0.1)
    server.send(*(define_number(name, elements, "Busy") for name, elements in numbers.items()))
    await aborting
    assert server.ordered("CCD_ABORT_EXPOSURE") == [{"ABORT": "On"}]


async def test_a_camera_that_cannot_be_connected_yet_counts_as_lost(server: FakeServer, stranger: IndiCamera) -> None:
    server.switches["CONNECTION"] = {"CONNECT": False, "DISCONNECT": True}
    refusal = switch("CONNECTION", "Alert", CONNECT=False, DISCONNECT=True)
    server.answers["CONNECTION"] = sending(server, refusal)
    with pytest.raises(DeviceLostError, match=r"cannot be connected: CONNECTION refused CONNECT.*plugged in"):
        await stranger.connect()
    server.answers.clear()
    await stranger.connect()
    assert stranger.is_ready


# ---- readout settings ----


@pytest.mark.parametrize("reported_sizes", [[(6, 4)], [(6, 4), (8, 6)]], ids=["rounded", "rounded-then-as-requested"])
@pytest.mark.parametrize("first_state", ["Ok", "Idle"])
async def test_the_expected_size_is_that_of_the_rounded_region(
    server: FakeServer, camera: IndiCamera, reported_sizes: list[tuple[int, int]], first_state: str
) -> None:
    states = [first_state, "Ok"] if len(reported_sizes) > 1 else ["Ok"]
    answers = [
        number("CCD_FRAME", state, X=0, Y=0, WIDTH=width, HEIGHT=height)
        for state, (width, height) in zip(states, reported_sizes, strict=True)
    ]
    server.answers["CCD_FRAME"] = sending(server, *answers)
    shoots(server, blob(fits_bytes(600, shape=(4, 6))), blob(fits_bytes()))
    await camera.apply(ReadoutSettings())
    assert await level(camera) == 600
    with pytest.raises(FrameDamagedError, match="sent 8 x 6 pixels instead of 6 x 4"):
        await level(camera)


async def test_a_part_of_the_sensor_does_not_count_as_rounding(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readout_module, "DEFINE_DEADLINE_S", 0.3)
    monkeypatch.setattr(readout_module, "LARGEST_ROUNDING_PIXELS", 2)
    server.answers["CCD_FRAME"] = sending(server, number("CCD_FRAME", "Ok", X=0, Y=0, WIDTH=4, HEIGHT=6))
    with pytest.raises(DeviceTimeoutError, match="the region to cover all 8 x 6 pixels"):
        await camera.apply(ReadoutSettings())


async def test_a_refused_region_is_reported(server: FakeServer, camera: IndiCamera) -> None:
    server.answers["CCD_FRAME"] = sending(server, number("CCD_FRAME", "Alert", "no such frame", X=0, Y=0))
    with pytest.raises(DeviceError, match=r"refused to read out all its 8 x 6 pixels \(.*no such frame"):
        await camera.apply(ReadoutSettings())


@pytest.mark.parametrize(
    ("formats", "wanted"),
    [
        ({"INDI_MONO_8": True, "INDI_MONO_16": False}, "INDI_MONO_16"),
        ({"INDI_RGB": True, "INDI_RAW": False}, "INDI_RAW"),
    ],
    ids=["mono", "colour"],
)
async def test_touptek_cameras_are_set_to_16_bits(
    server: FakeServer, stranger: IndiCamera, formats: dict[str, bool], wanted: str
) -> None:
    server.switches["CCD_CAPTURE_FORMAT"] = formats
    await stranger.connect()
    assert server.ordered("CCD_CAPTURE_FORMAT") == [{wanted: "On"}]


async def test_conversion_gain_takes_precedence_over_the_binning_mode(server: FakeServer, stranger: IndiCamera) -> None:
    server.switches |= {
        "CCD_BINNING_MODE": {"TC_BINNING_AVG": False, "TC_BINNING_ADD": True},
        "TC_CONVERSION_GAIN": {"GAIN_LOW": True, "GAIN_HIGH": False},
    }
    await stranger.connect()
    assert stranger.features.readout_modes == ("Gain_Low", "Gain_High")
    assert (await stranger.apply(ReadoutSettings())).readout_mode == "Gain_Low"
    assert (await stranger.apply(ReadoutSettings(readout_mode="GAIN_HIGH"))).readout_mode == "Gain_High"
    assert (await stranger.apply(ReadoutSettings(readout_mode="Tc_Binning_Avg"))).readout_mode == "Tc_Binning_Avg"


async def test_numbered_modes_are_read_back(server: FakeServer, stranger: IndiCamera) -> None:
    server.numbers["READ_MODE"] = {"MODE": (0.0, 3.0, 1.0)}
    await stranger.connect()
    assert (await stranger.apply(ReadoutSettings())).readout_mode == "1"
    assert (await stranger.apply(ReadoutSettings(readout_mode="2"))).readout_mode == "2"


async def test_a_camera_without_modes_reports_none(camera: IndiCamera) -> None:
    assert (await camera.apply(ReadoutSettings())).readout_mode is None


async def test_the_setpoint_needs_no_pixels(server: FakeServer, stranger: IndiCamera) -> None:
    server.numbers["CCD_TEMPERATURE"] = TEMPERATURE
    await stranger.set_setpoint(12.375)
    assert server.ordered("CCD_TEMPERATURE") == [{"CCD_TEMPERATURE_VALUE": "12.375"}]
    assert stranger.transport == ""


# ---- identity of frames ----

DATES = ("2025-03-01T22:00:01.500", "2025-03-01T22:00:02.000")


async def test_a_repeated_frame_is_refused(server: FakeServer, camera: IndiCamera) -> None:
    first, second = (blob(fits_bytes(600 + n, date_obs=date)) for n, date in enumerate(DATES))
    shoots(server, first, first, second)
    assert await level(camera) == 600
    with pytest.raises(FrameDamagedError, match=r"different exposure, which started at 22:00:01\.500000 UTC"):
        await level(camera)
    assert await level(camera) == 601


async def test_an_older_frame_is_refused_and_a_clock_set_back_costs_one_frame(
    server: FakeServer, camera: IndiCamera
) -> None:
    shoots(server, *(blob(fits_bytes(date_obs=date)) for date in (DATES[1], DATES[0], DATES[1])))
    await level(camera)
    with pytest.raises(FrameDamagedError, match="different exposure"):
        await level(camera)
    await level(camera)


@pytest.mark.parametrize("date", ["2025-03-01T22:00:01", "2025-03-01", "soon", ""])
async def test_coarse_dates_do_not_refuse_frames(server: FakeServer, camera: IndiCamera, date: str) -> None:
    shoots(server, *[blob(fits_bytes(600, date_obs=date))] * 2)
    assert [await level(camera), await level(camera)] == [600, 600]


@pytest.mark.parametrize("behind_s", [0, 30])
async def test_the_clock_behind_a_local_server_may_be_wrong(
    server: FakeServer, link: IndiLink, behind_s: float
) -> None:
    """The driver of a local server runs on another machine if the server is chained."""
    address = ServerAddress("127.0.0.1", server.port, unix_socket=await server.listen_locally())
    camera = IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S)
    await camera.connect()
    assert camera.transport == "unix socket"

    async def answer(_values: dict[str, str]) -> None:
        date = (datetime.now(UTC) - timedelta(seconds=behind_s)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        server.send_pixels(blob(fits_bytes(65535, date_obs=date)))
        server.send(exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = answer
    try:
        remarks = [(await camera.expose(FrameKind.BIAS, 0.0)).remarks for _ in range(3)]
    finally:
        await camera.close()
    assert remarks[1:] == [(), ()]
    assert ["clock is 30.0 s behind" in remark or "clock is 29.9 s behind" in remark for remark in remarks[0]] == (
        [True] if behind_s else []
    )


async def test_the_local_socket_of_a_different_server_is_not_used(
    server: FakeServer, link: IndiLink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two servers on one machine may have cameras of the same name, such as two simulators."""
    monkeypatch.setattr(blob_channel, "CONNECT_DEADLINE_S", 0.5)
    async with FakeServer() as other:
        address = ServerAddress("127.0.0.1", server.port, unix_socket=await other.listen_locally())
        camera = IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S)
        await camera.connect()
        try:
            assert camera.transport == "TCP"
            assert await level(camera) == 500
        finally:
            await camera.close()
    assert "belongs to a different server" in caplog.text


async def test_the_local_socket_in_the_servers_command_line_is_used(
    server: FakeServer, link: IndiLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The INDI web manager gives its server a socket of another name."""
    name = await server.listen_locally()
    monkeypatch.setattr(blob_channel, "local_sockets", lambda _port: (name,))
    address = ServerAddress("127.0.0.1", server.port, unix_socket="/tmp/coldframe-no-such-server")
    camera = IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S)
    await camera.connect()
    assert camera.transport == "unix socket"
    await camera.close()


@pytest.mark.usefixtures("time_for_late_frames")
async def test_a_running_exposure_is_aborted_before_the_next(server: FakeServer, camera: IndiCamera) -> None:
    """Its frame could pass for that of the next exposure, for example after a reconnection."""
    aborted = asyncio.Event()

    async def abort(_values: dict[str, str]) -> None:
        server.send(exposure("Idle"))
        server.send_pixels(blob(fits_bytes(111)))  # it was already being read out
        aborted.set()

    server.answers["CCD_ABORT_EXPOSURE"] = abort
    await seen(camera.link, server, exposure("Busy", left_s=50))
    assert await level(camera) == 500
    assert aborted.is_set()


@pytest.mark.usefixtures("time_for_late_frames")
async def test_a_late_frame_does_not_count_for_a_later_exposure(
    server: FakeServer, camera: IndiCamera, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["CCD_EXPOSURE"] = sending(server, exposure("Busy"))
    camera.readout_deadline_s = 0.3
    with pytest.raises(DeviceTimeoutError):
        await level(camera)
    server.answers.clear()
    camera.readout_deadline_s = PATIENCE_S
    late = asyncio.get_running_loop().call_later(0.03, server.send_pixels, blob(fits_bytes(111)))
    assert await level(camera) == 500
    assert late.when() < asyncio.get_running_loop().time()
    assert "arrived unexpectedly" in caplog.text


async def test_unrequested_frames_do_not_accumulate(
    server: FakeServer, camera: IndiCamera, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await server.deliver(*(blob(fits_bytes(100 + n)) for n in range(6)))
    assert caplog.text.count("ignored a frame") == 4
    assert await level(camera) == 500


def exposed(link: IndiLink) -> Property | None:
    prop = link.mirror.find(CAMERA, "CCD_EXPOSURE")
    return prop if prop is not None and prop.state == "ok" else None


async def test_a_server_lost_before_the_frame_arrives_is_noticed_at_once(
    server: FakeServer, camera: IndiCamera
) -> None:
    server.answers["CCD_EXPOSURE"] = sending(server, exposure("Ok"))
    link = camera.link
    exposing = asyncio.create_task(level(camera))
    await link.wait(CAMERA, lambda: exposed(link), PATIENCE_S, "the end of the exposure")
    server.drop_control()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(DeviceLostError, match="lost while waiting for the end of a 0 s exposure"):
            await exposing
