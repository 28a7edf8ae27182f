"""The camera with a stock server, with both transports of the pixels, and with killed drivers and links."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError, DeviceLostError, SettingRefusedError
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from tests.indi.conftest import StartServer
from tests.indi.servers import CAMERA, HOST, LONG_S, PANEL, WHEEL, Indiserver
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.indi


@asynccontextmanager
async def connected(server: Indiserver, *, local: bool = True) -> AsyncIterator[IndiCamera]:
    address = server.address if local else replace(server.address, unix_socket=None)
    async with IndiLink(HOST, server.port) as link:
        camera = IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S)
        try:
            await camera.connect()
            yield camera
        finally:
            await camera.close()


def is_exposing(camera: IndiCamera) -> bool:
    exposure = camera.link.mirror.find(CAMERA, "CCD_EXPOSURE")
    return exposure is not None and exposure.state == "busy"


async def shot(server: Indiserver, *, local: bool) -> Frame:
    async with connected(server, local=local) as camera:
        assert camera.transport == ("unix socket" if local else "TCP")
        await camera.apply(ReadoutSettings(gain=7.0, offset=300.0, binning=2))
        return await camera.expose(FrameKind.DARK, 0.2)


async def test_both_transports_deliver_the_same_frame(stock: Indiserver) -> None:
    over_tcp, local = await shot(stock, local=False), await shot(stock, local=True)
    assert over_tcp.pixels.shape == local.pixels.shape == (512, 640)
    assert over_tcp.pixels.dtype == local.pixels.dtype == np.uint16
    assert over_tcp.settings == local.settings == ReadoutSettings(gain=7.0, offset=300.0, binning=2)
    changing = {"DATE-OBS", "CCD-TEMP"}
    shown = [{key: value for key, value in each.header.items() if key not in changing} for each in (over_tcp, local)]
    assert shown[0] == shown[1]
    assert shown[0]["EXPTIME"] == 0.2
    # Binning adds four pixels of 300 ADU, each with noise between 0 and 9 ADU.
    assert 1200 <= np.median(local.pixels) <= 1236


async def test_a_local_socket_of_another_name_is_found(stock: Indiserver) -> None:
    async with IndiLink(HOST, stock.port) as link:
        camera = IndiCamera(link, CAMERA, replace(stock.address, unix_socket="/tmp/nobody-listens-here"))
        await camera.connect()
        assert camera.transport == "unix socket"
        await camera.close()


async def test_the_same_camera_of_another_server_is_not_mistaken(start_server: StartServer) -> None:
    """Both servers have a camera of the same name, and the configured socket leads to the wrong one."""
    server, other = start_server(), start_server()
    async with IndiLink(HOST, server.port) as link:
        camera = IndiCamera(link, CAMERA, replace(server.address, unix_socket=other.address.unix_socket))
        await camera.connect()
        assert (await camera.expose(FrameKind.DARK, 0.05)).exposure_s == 0.05
        await camera.close()


async def test_cancelling_aborts_an_exposure_that_was_ordered_just_before(stock: Indiserver) -> None:
    async with connected(stock) as camera:
        await camera.expose(FrameKind.DARK, 0.05)
        for running_s in (0.0, 0.3):
            exposing = asyncio.create_task(camera.expose(FrameKind.DARK, 30))
            await asyncio.sleep(running_s)
            exposing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await exposing
            assert stock.state(f"{CAMERA}.CCD_EXPOSURE") in {"Idle", "Ok"}
        assert (await camera.expose(FrameKind.BIAS, 0.01)).pixels.shape == (1024, 1280)


async def test_a_killed_driver_is_detected_and_set_up_again(stock: Indiserver) -> None:
    async with connected(stock) as camera:
        await camera.apply(ReadoutSettings(gain=7.0, offset=300.0))
        await camera.set_setpoint(-5.0)
        exposing = asyncio.create_task(camera.expose(FrameKind.DARK, LONG_S))
        await until(lambda: is_exposing(camera))
        os.kill(stock.driver("indi_simulator_ccd"), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(DeviceLostError, match="driver disappeared"):
                await exposing
        assert not camera.is_ready
        frame = await camera.expose(FrameKind.DARK, 0.1)
        assert frame.settings == ReadoutSettings(gain=7.0, offset=300.0)
        assert frame.setpoint_c == -5
        assert 300 <= np.median(frame.pixels) <= 310


async def test_a_killed_link_costs_one_exposure(stock: Indiserver) -> None:
    async with connected(stock) as camera:
        await camera.apply(ReadoutSettings(gain=7.0))
        exposing = asyncio.create_task(camera.expose(FrameKind.DARK, LONG_S))
        await until(lambda: is_exposing(camera))
        assert camera.link.process_id is not None
        os.kill(camera.link.process_id, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(DeviceLostError):
                await exposing
        assert (await camera.expose(FrameKind.DARK, 0.1)).settings.gain == 7


async def test_values_outside_their_range_are_not_sent(stock: Indiserver) -> None:
    async with connected(stock) as camera:
        for exposure_s in (float("nan"), float("inf"), -1.0, 1e9):
            with pytest.raises(SettingRefusedError, match="is outside"):
                await camera.expose(FrameKind.DARK, exposure_s)
        with pytest.raises(SettingRefusedError, match="is outside the range 0 to 100"):
            await camera.apply(ReadoutSettings(gain=101.0))


async def test_panel_and_wheel_obey(stock: Indiserver) -> None:
    async with IndiLink(HOST, stock.port) as link:
        panel, wheel = IndiFlatPanel(link, PANEL), IndiFilterWheel(link, WHEEL)
        await panel.connect()
        await wheel.connect()
        await panel.light_on(100)
        assert (panel.state().lit, panel.state().brightness) == (True, 100)
        await panel.light_off()
        assert not panel.state().lit
        for name in ("Blue", "Red", "Blue"):
            await wheel.select(name)
            assert wheel.current == name
        with pytest.raises(DeviceError, match="has no filter 'Ultraviolet'"):
            await wheel.select("Ultraviolet")
