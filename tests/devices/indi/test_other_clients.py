"""Changes by another client cost at most one frame, are named, and are undone."""

import asyncio

import numpy as np
import pytest

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.tables.rig import AuxiliarySettings
from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    FrameDamagedError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.indi import device, dialects
from coldframe.devices.indi import link as link_module
from coldframe.devices.indi.auxiliary import IndiAuxiliary
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.readout import camera_property
from tests.devices.indi.fake_server import (
    CAMERA,
    SHAPE,
    Answer,
    FakeServer,
    blob,
    define_number,
    exposure,
    fits_bytes,
    number,
    switch,
)
from tests.devices.test_rig_ready import seen
from tests.patience import PATIENCE_S, until

EXPOSURE_S = 0.3


def labelled(**cards: float) -> str:
    """Return a fully saturated frame, which may be repeated, with cards."""
    header, data = FrameEncoder().encode(np.full(SHAPE, 65535, np.uint16), [Card(*card) for card in cards.items()])
    return blob(header + bytes(data))


def answer(server: FakeServer, exptime_s: float | None, *left_s: float) -> None:
    """Answer exposures with a countdown and, after `EXPOSURE_S`, with a frame that states `exptime_s`."""

    async def expose(_values: dict[str, str]) -> None:
        server.send(*(exposure("Busy", left_s=each) for each in left_s))
        await asyncio.sleep(EXPOSURE_S)
        server.send_pixels(blob(fits_bytes(65535)) if exptime_s is None else labelled(EXPTIME=exptime_s))
        server.send(exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = expose


async def dark(camera: IndiCamera, exposure_s: float = EXPOSURE_S) -> tuple[int, ...]:
    return (await camera.expose(FrameKind.DARK, exposure_s)).pixels.shape


@pytest.mark.usefixtures("time_for_late_frames")
async def test_a_longer_exposure_is_aborted(server: FakeServer, camera: IndiCamera) -> None:
    answer(server, 9.0, EXPOSURE_S, 9.0)
    with pytest.raises(DeviceError, match=r"another client started an exposure of 9 s during the exposure of 0.3 s"):
        await dark(camera)
    assert server.ordered("CCD_ABORT_EXPOSURE") == [{"ABORT": "On"}]
    answer(server, EXPOSURE_S, EXPOSURE_S)
    assert await dark(camera) == SHAPE


@pytest.mark.parametrize("exptime_s", [0.2, 0.4, 9.0])
async def test_a_frame_with_another_exposure_is_refused(
    server: FakeServer, camera: IndiCamera, exptime_s: float
) -> None:
    answer(server, EXPOSURE_S, EXPOSURE_S, 0.1)
    assert await dark(camera) == SHAPE
    answer(server, exptime_s, EXPOSURE_S, 0.1)
    for _ in range(4):
        with pytest.raises(FrameDamagedError, match=f"exposure of {exptime_s:g} s instead of 0.3 s"):
            await dark(camera)


async def test_a_countdown_that_starts_again_is_refused(server: FakeServer, camera: IndiCamera) -> None:
    answer(server, None, EXPOSURE_S, 0.1)
    assert await dark(camera) == SHAPE
    answer(server, None, EXPOSURE_S, 0.1, 1.2)
    with pytest.raises(FrameDamagedError, match="another client started an exposure during"):
        await dark(camera)


async def test_a_driver_that_always_states_a_wrong_exptime_costs_two_frames(
    server: FakeServer, camera: IndiCamera
) -> None:
    """Some drivers state milliseconds or a constant (indi-3rdparty#1245)."""
    answer(server, 300.0, EXPOSURE_S)
    for _ in range(2):
        with pytest.raises(FrameDamagedError, match="exposure of 300 s"):
            await dark(camera)
    for _ in range(3):
        assert await dark(camera) == SHAPE


@pytest.mark.usefixtures("time_for_late_frames")
async def test_a_driver_that_always_counts_down_too_much_costs_two_frames(
    server: FakeServer, camera: IndiCamera
) -> None:
    answer(server, EXPOSURE_S, EXPOSURE_S + 2, 0.1, 1.5)
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"an exposure of 2\.3 s"):
            await dark(camera)
    for _ in range(2):
        assert await dark(camera) == SHAPE


@pytest.mark.parametrize("exptime_s", [0.0, -1.0, 0.301, None])
async def test_an_exptime_that_says_nothing_or_is_rounded_is_accepted(
    server: FakeServer, camera: IndiCamera, exptime_s: float | None
) -> None:
    answer(server, exptime_s, 0.0, EXPOSURE_S, 1.0, 0.0)  # drivers round the remaining time up to whole seconds
    assert await dark(camera) == SHAPE


async def test_a_remaining_time_that_is_no_number_is_ignored(server: FakeServer, camera: IndiCamera) -> None:
    answer(server, EXPOSURE_S, float("nan"))
    assert await dark(camera) == SHAPE


async def test_a_bias_frame_may_have_the_drivers_shortest_exposure(server: FakeServer, camera: IndiCamera) -> None:
    answer(server, 0.25, 0.25)
    assert (await camera.expose(FrameKind.BIAS, 0.0)).pixels.shape == SHAPE


async def test_a_disconnection_during_an_exposure_is_noticed_at_once(server: FakeServer, camera: IndiCamera) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))

    async def busy(_values: dict[str, str]) -> None:
        server.send(exposure("Busy"), switch("CONNECTION", "Ok", CONNECT=False, DISCONNECT=True))

    server.answers["CCD_EXPOSURE"] = busy
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(DeviceLostError, match="disconnected it while waiting for the end of a"):
            await dark(camera, 4 * PATIENCE_S)
    assert not camera.is_ready
    server.answers.clear()
    server.orders.clear()
    assert await dark(camera, 0.0) == SHAPE
    assert server.ordered("CONNECTION") == [{"CONNECT": "On"}]
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}]


@pytest.mark.parametrize("name", ["CCD_FRAME_TYPE", "CCD_EXPOSURE"])
async def test_a_disconnection_between_two_commands_is_a_loss_that_is_retried(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A property that is missing for this reason is no reason to give up the set."""
    await camera.apply(ReadoutSettings())
    await seen(camera.link, server, f'<delProperty device="{CAMERA}" name="{name}"/>')
    await seen(camera.link, server, switch("CONNECTION", "Ok", CONNECT=False, DISCONNECT=True))
    monkeypatch.setattr(IndiCamera, "is_ready", True)  # as it was just before the disconnection
    with pytest.raises(DeviceLostError, match="another client or the driver disconnected it"):
        await dark(camera, 0.0)


async def test_a_property_that_vanishes_before_the_disconnection_shows_is_a_loss_that_is_retried(
    server: FakeServer, camera: IndiCamera
) -> None:
    await seen(camera.link, server, f'<delProperty device="{CAMERA}" name="CCD_FRAME"/>')
    with pytest.raises(DeviceLostError, match="has removed CCD_FRAME"):
        camera_property(camera, "CCD_FRAME")


async def test_a_removed_property_is_awaited(server: FakeServer, camera: IndiCamera) -> None:
    """Drivers remove a property to define it again, for example with other limits."""
    await camera.apply(ReadoutSettings(gain=30.0))
    await seen(camera.link, server, f'<delProperty device="{CAMERA}" name="CCD_GAIN"/>')
    assert not camera.is_ready
    with pytest.raises(DeviceLostError, match=r"has removed CCD_GAIN\. Restart its driver\."):
        camera.link.send(CAMERA, "CCD_GAIN", {"GAIN": 30.0})
    with pytest.raises(DeviceLostError, match="has removed CCD_GAIN"):
        await camera.set(dialects.GAIN, 30.0)
    returning = asyncio.create_task(camera.ensure_ready())
    await seen(camera.link, server, define_number("CCD_GAIN", {"GAIN": (0.0, 50.0, 10.0)}))
    async with asyncio.timeout(PATIENCE_S):
        await returning
    assert camera.is_ready
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}] * 2


async def test_a_property_that_a_driver_lacks_after_it_was_connected_again_is_not_awaited(
    server: FakeServer, camera: IndiCamera
) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    await seen(camera.link, server, f'<delProperty device="{CAMERA}" name="CCD_GAIN"/>')
    for is_on in (False, True):
        await seen(camera.link, server, switch("CONNECTION", "Ok", CONNECT=is_on, DISCONNECT=not is_on))
    with pytest.raises(NotSupportedError, match="has no property CCD_GAIN"):
        camera.link.send(CAMERA, "CCD_GAIN", {"GAIN": 30.0})


async def test_a_driver_that_does_not_define_a_removed_property_again_is_reconnected(
    server: FakeServer, camera: IndiCamera
) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    await seen(camera.link, server, f'<delProperty device="{CAMERA}" name="CCD_GAIN"/>')

    async def connect(values: dict[str, str]) -> None:
        is_on = "CONNECT" in values
        server.send(switch("CONNECTION", "Ok", CONNECT=is_on, DISCONNECT=not is_on))
        server.send(define_number("CCD_GAIN", {"GAIN": (0.0, 50.0, 10.0)}) if is_on else "")

    server.answers["CONNECTION"] = connect
    camera.define_deadline_s = 0.1
    for _ in range(device.TIMEOUTS_UNTIL_RECONNECTED):
        assert server.ordered("CONNECTION") == []
        with pytest.raises(DeviceTimeoutError, match="property CCD_GAIN"):
            await camera.ensure_ready()
    camera.define_deadline_s = PATIENCE_S
    await camera.ensure_ready()
    assert camera.is_ready
    assert server.ordered("CONNECTION") == [{"DISCONNECT": "On"}, {"CONNECT": "On"}]
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}] * 2


@pytest.mark.parametrize("name", ["POLLING_PERIOD", "UPLOAD_MODE", "CCD_ABORT_EXPOSURE"])
async def test_a_removed_property_that_the_camera_can_do_without_is_not_awaited(
    server: FakeServer, stranger: IndiCamera, name: str
) -> None:
    server.numbers["POLLING_PERIOD"] = {"PERIOD_MS": (10, 5000, 1000)}
    server.switches["UPLOAD_MODE"] = {"UPLOAD_CLIENT": False, "UPLOAD_LOCAL": True}
    await stranger.connect()
    server.send(exposure("Busy"))  # of another client
    await until(lambda: camera_property(stranger, "CCD_EXPOSURE").state == "busy")
    assert await dark(stranger, 0.0) == SHAPE
    assert server.ordered(name)
    await seen(stranger.link, server, f'<delProperty device="{CAMERA}" name="{name}"/>')
    assert stranger.is_ready
    assert await dark(stranger, 0.0) == SHAPE


async def test_a_removed_property_of_an_auxiliary_leaves_the_camera_on_its_driver_ready(
    server: FakeServer, stranger: IndiCamera
) -> None:
    server.numbers["DEW"] = {"A": (0, 100, 40)}
    heater = IndiAuxiliary(stranger.link, AuxiliarySettings(device=CAMERA, property="DEW", element="A", off=0.0))
    await stranger.connect()
    await heater.connect()
    await heater.switch_off()
    await seen(stranger.link, server, f'<delProperty device="{CAMERA}" name="DEW"/>')
    assert not heater.is_ready
    assert stranger.is_ready


async def test_a_crash_of_the_driver_between_two_commands_is_a_loss_that_is_retried(
    server: FakeServer, camera: IndiCamera
) -> None:
    await seen(camera.link, server, f'<delProperty device="{CAMERA}"/>')
    with pytest.raises(DeviceLostError, match=r"its driver is missing\. Did the driver or the server crash\?"):
        camera_property(camera, "CCD_FRAME")
    with pytest.raises(DeviceLostError, match="its driver is missing"):
        await camera.set(dialects.GAIN, 30.0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CCD_BINNING", ReadoutSettings(binning=2)),
        ("CCD_ISO", ReadoutSettings(gain=800)),
        ("READ_MODE", ReadoutSettings(readout_mode="Fast")),
    ],
)
async def test_a_removed_setting_is_awaited(
    server: FakeServer, stranger: IndiCamera, monkeypatch: pytest.MonkeyPatch, name: str, settings: ReadoutSettings
) -> None:
    """A driver may redefine one of its settings because another was changed."""
    del server.numbers["CCD_GAIN"]
    server.numbers["CCD_BINNING"] = {"HOR_BIN": (1, 4, 1), "VER_BIN": (1, 4, 1)}
    server.switches["CCD_ISO"] = {"ISO 100": True, "ISO 800": False}
    server.switches["READ_MODE"] = {"SLOW": True, "FAST": False}
    await stranger.connect()
    await seen(stranger.link, server, f'<delProperty device="{CAMERA}" name="{name}"/>')
    with monkeypatch.context() as patched:
        patched.setattr(IndiCamera, "is_ready", True)  # as it was just before the removal
        with pytest.raises(DeviceLostError, match=f"has removed {name}"):
            await stranger.apply(settings)
    assert not stranger.is_ready


async def test_a_driver_that_removes_its_connection_is_not_unknown(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "DEFINE_DEADLINE_S", 0.2)
    await seen(camera.link, server, f'<delProperty device="{CAMERA}" name="CONNECTION"/>')
    with pytest.raises(DeviceLostError, match="has removed CONNECTION"):
        await camera.ensure_ready()


async def test_settings_are_restored_although_another_client_connected_the_driver_again(
    server: FakeServer, camera: IndiCamera
) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    for is_on in (False, True):
        await seen(camera.link, server, switch("CONNECTION", "Ok", CONNECT=is_on, DISCONNECT=not is_on))
    assert not camera.is_ready
    server.orders.clear()
    assert await dark(camera, 0.0) == SHAPE
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}]


def answer_with_gain(server: FakeServer, stated: float, *messages: str, exptime_s: float = 0.0) -> None:
    """Answer exposures with messages, and with a frame whose card GAIN is `stated`."""

    async def expose(_values: dict[str, str]) -> None:
        server.send(exposure("Busy"), *messages)
        server.send_pixels(labelled(GAIN=stated, EXPTIME=exptime_s))
        server.send(exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = expose


async def test_a_frame_with_another_gain_is_refused_although_the_driver_shows_the_right_one(
    server: FakeServer, camera: IndiCamera
) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    answer_with_gain(server, 30.0)
    assert await dark(camera, 0.0) == SHAPE
    answer_with_gain(server, 70.0, number("CCD_GAIN", "Ok", GAIN=70), number("CCD_GAIN", "Ok", GAIN=30))
    for _ in range(4):
        with pytest.raises(FrameDamagedError, match="with gain 70 instead of 30"):
            await dark(camera, 0.0)


async def test_a_driver_that_always_states_a_wrong_gain_and_exptime_costs_two_frames(
    server: FakeServer, camera: IndiCamera
) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    answer_with_gain(server, 0.8, exptime_s=300.0)
    for _ in range(2):
        with pytest.raises(FrameDamagedError, match="exposure of 300 s"):
            await dark(camera, 0.0)
    remarks = [(await camera.expose(FrameKind.DARK, 0.0)).remarks for _ in range(2)]
    assert [len(each) for each in remarks] == [1, 0]
    assert "with gain 0.8 instead of 30 (card GAIN)" in remarks[0][0]


async def test_a_gain_that_was_not_commanded_may_be_any(server: FakeServer, camera: IndiCamera) -> None:
    answer_with_gain(server, 99.0)
    assert await dark(camera, 0.0) == SHAPE


async def test_a_gain_that_the_driver_shows_changed_is_left_to_the_settings(
    server: FakeServer, camera: IndiCamera
) -> None:
    """The night counts these changes, and ends if they go on."""
    await camera.apply(ReadoutSettings(gain=30.0))
    answer_with_gain(server, 30.0, number("CCD_GAIN", "Ok", GAIN=70))
    assert (await camera.expose(FrameKind.DARK, 0.0)).settings.gain == 70


Change = tuple[str, str, str, dict[str, str]]
CHANGES: dict[str, Change] = {
    "compression": (
        switch("CCD_COMPRESSION", "Ok", INDI_ENABLED=True, INDI_DISABLED=False),
        "compressed by another client (CCD_COMPRESSION)",
        "CCD_COMPRESSION",
        {"INDI_DISABLED": "On"},
    ),
    "upload": (
        switch("UPLOAD_MODE", "Ok", UPLOAD_CLIENT=False, UPLOAD_LOCAL=True),
        "kept on the server's disk by another client (UPLOAD_MODE)",
        "UPLOAD_MODE",
        {"UPLOAD_CLIENT": "On"},
    ),
    "binning": (
        number("CCD_BINNING", "Ok", HOR_BIN=2, VER_BIN=2),
        "binned 2 x 2 by another client",
        "CCD_BINNING",
        {"HOR_BIN": "1", "VER_BIN": "1"},
    ),
    "region": (
        number("CCD_FRAME", "Ok", X=500, Y=400, WIDTH=100, HEIGHT=80),
        "cropped to 100 x 80 pixels at 500, 400 by another client",
        "CCD_FRAME",
        {"X": "0", "Y": "0", "WIDTH": "8", "HEIGHT": "6"},
    ),
    "gain": (
        number("CCD_GAIN", "Ok", GAIN=70),
        "taken with gain 70.0, set by another client, instead of 30.0",
        "CCD_GAIN",
        {"GAIN": "30"},
    ),
}


@pytest.fixture
async def changeable(server: FakeServer, stranger: IndiCamera) -> IndiCamera:
    """Return a connected camera with all settings that `CHANGES` change."""
    server.switches["CCD_COMPRESSION"] = {"INDI_ENABLED": False, "INDI_DISABLED": True}
    server.switches["UPLOAD_MODE"] = {"UPLOAD_CLIENT": True, "UPLOAD_LOCAL": False}
    server.numbers["CCD_BINNING"] = {"HOR_BIN": (1, 4, 1), "VER_BIN": (1, 4, 1)}
    await stranger.connect()
    await stranger.apply(ReadoutSettings(gain=30.0))
    server.orders.clear()
    return stranger


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_between_two_frames_is_undone_and_remarked(
    server: FakeServer, changeable: IndiCamera, change: Change
) -> None:
    message, words, name, restored = change
    await seen(changeable.link, server, message)
    frames = [await changeable.expose(FrameKind.DARK, 0.0) for _ in range(2)]
    assert [frame.remarks for frame in frames] == [
        (f"frames would have been {words}; the settings have been restored",),
        (),
    ]
    assert server.ordered(name)[-1] == restored
    assert frames[0].settings.gain == 30


@pytest.mark.parametrize("change", [CHANGES["compression"], CHANGES["binning"]], ids=["compression", "binning"])
async def test_a_change_during_a_frame_costs_that_frame_and_is_named(
    server: FakeServer, changeable: IndiCamera, change: Change
) -> None:
    message, words, name, restored = change

    async def expose(_values: dict[str, str]) -> None:
        server.send(exposure("Busy"), message)
        server.send_pixels(
            blob(fits_bytes(), ".fits.fz") if name == "CCD_COMPRESSION" else blob(fits_bytes(shape=(3, 4)))
        )
        server.send(exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = expose
    with pytest.raises(FrameDamagedError) as caught:
        await changeable.expose(FrameKind.DARK, 0.0)
    assert words in str(caught.value)
    server.answers.clear()
    assert (await changeable.expose(FrameKind.DARK, 0.0)).remarks == ()
    assert server.ordered(name) == [restored]


OLD = pytest.mark.parametrize("state", ["Alert", "Idle"])


@OLD
async def test_the_old_state_of_an_exposure_does_not_end_the_next(
    server: FakeServer, camera: IndiCamera, state: str
) -> None:
    await seen(camera.link, server, exposure(state))

    async def expose(_values: dict[str, str]) -> None:
        server.send(exposure(state), exposure(state))
        await asyncio.sleep(0.2)
        server.send_pixels(blob(fits_bytes()))
        server.send(exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = expose
    assert await dark(camera, 0.0) == SHAPE


@OLD
async def test_an_exposure_that_stays_in_its_old_state_is_refused(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(link_module, "OLD_STATE_S", 0.2)
    await seen(camera.link, server, exposure(state))

    async def refuse(_values: dict[str, str]) -> None:
        server.send(exposure(state))

    server.answers["CCD_EXPOSURE"] = refuse
    with pytest.raises(DeviceError, match="refused or lost" if state == "Alert" else "aborted by another"):
        await dark(camera, 0.0)


async def test_an_alert_after_the_start_ends_an_exposure_that_followed_an_alert(
    server: FakeServer, camera: IndiCamera
) -> None:
    await seen(camera.link, server, exposure("Alert"))

    async def expose(_values: dict[str, str]) -> None:
        server.send(exposure("Alert"), exposure("Busy"), exposure("Alert"))

    server.answers["CCD_EXPOSURE"] = expose
    with pytest.raises(DeviceError, match="refused or lost"):
        await dark(camera, 0.0)
    await until(lambda: server.ordered("CCD_ABORT_EXPOSURE"))  # the camera may still be exposing


def old_alert(server: FakeServer, *later: str) -> Answer:
    async def set_gain(_values: dict[str, str]) -> None:
        server.send(number("CCD_GAIN", "Alert", GAIN=10))
        await asyncio.sleep(0.1)
        server.send(*later)

    return set_gain


async def test_a_setting_is_not_refused_by_an_old_alert(server: FakeServer, camera: IndiCamera) -> None:
    await seen(camera.link, server, number("CCD_GAIN", "Alert", GAIN=10))
    server.answers["CCD_GAIN"] = old_alert(server, number("CCD_GAIN", "Ok", GAIN=30))
    assert (await camera.apply(ReadoutSettings(gain=30.0))).gain == 30


@pytest.mark.parametrize("later", [(), (number("CCD_GAIN", "Ok", GAIN=10),)], ids=["silence", "old-value"])
async def test_a_setting_that_is_never_accepted_is_refused_despite_an_old_alert(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch, later: tuple[str, ...]
) -> None:
    link = camera.link
    monkeypatch.setattr(link_module, "OLD_STATE_S", 0.5)
    await seen(link, server, number("CCD_GAIN", "Alert", GAIN=10))
    server.answers["CCD_GAIN"] = old_alert(server, *later)
    with pytest.raises(SettingRefusedError, match="CCD_GAIN refused GAIN 30"):
        await link.set(CAMERA, "CCD_GAIN", {"GAIN": 30.0})
