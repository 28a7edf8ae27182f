"""A scripted server, and a camera connected to it; drivers here have nothing to think about, so waits are short."""

from collections.abc import AsyncIterator

import pytest

from coldframe.devices.indi import camera as camera_module
from coldframe.devices.indi import device
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from tests.devices.indi.fake_server import CAMERA, FakeServer

READOUT_DEADLINE_S = 0.6


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "QUIET_S", 0.2)
    monkeypatch.setattr(camera_module, "LATE_FRAMES_S", 0.1)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as fake:
        yield fake


@pytest.fixture
async def link(server: FakeServer) -> AsyncIterator[IndiLink]:
    async with IndiLink("127.0.0.1", server.port) as opened:
        yield opened


@pytest.fixture
async def stranger(server: FakeServer, link: IndiLink) -> AsyncIterator[IndiCamera]:
    """The camera before it is connected."""
    address = ServerAddress("127.0.0.1", server.port)
    unconnected = IndiCamera(link, CAMERA, address, readout_deadline_s=READOUT_DEADLINE_S)
    yield unconnected
    await unconnected.close()


@pytest.fixture
async def camera(stranger: IndiCamera) -> IndiCamera:
    await stranger.connect()
    return stranger
