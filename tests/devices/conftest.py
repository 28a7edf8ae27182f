"""A scripted server, and a camera connected to it."""

from collections.abc import AsyncIterator

import pytest

from coldframe.devices.indi import camera as camera_module
from coldframe.devices.indi import device
from coldframe.devices.indi.camera import BLOB_VECTOR, IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from tests.devices.indi.fake_server import CAMERA, FakeServer
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the scripted server's last definition instead of silence, and do not wait for late frames."""
    monkeypatch.setattr(device.IndiDevice, "awaited", (BLOB_VECTOR,))
    monkeypatch.setattr(IndiFilterWheel, "awaited", (*IndiFilterWheel.awaited, BLOB_VECTOR))
    monkeypatch.setattr(device, "QUIET_S", 0.05)
    monkeypatch.setattr(camera_module, "LATE_FRAMES_S", 0.02)


@pytest.fixture
def time_for_late_frames(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow more time for a late frame than it needs on a busy machine."""
    del quick
    monkeypatch.setattr(camera_module, "LATE_FRAMES_S", 4.0)


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
    """Yield the camera before it is connected."""
    address = ServerAddress("127.0.0.1", server.port)
    unconnected = IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S)
    yield unconnected
    await unconnected.close()


@pytest.fixture
async def camera(stranger: IndiCamera) -> IndiCamera:
    await stranger.connect()
    return stranger
