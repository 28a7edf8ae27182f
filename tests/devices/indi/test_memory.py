"""The memory of the link is measured, and the link can restart while devices keep their settings."""

import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.connection import IndiConnection
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.memory import resident_bytes, resident_bytes_of
from tests.devices.indi.fake_server import CAMERA, SHAPE, FakeServer, define_text
from tests.patience import PATIENCE_S

GROWN = "import sys; held = b'x' * (200 << 20); print('grown', flush=True); sys.stdin.read()"


async def test_memory_is_found_by_process_id_and_by_name() -> None:
    process = await create_subprocess_exec(sys.executable, "-c", GROWN, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    name = os.path.basename(sys.executable)  # noqa: PTH119 - as in the kernel, without resolving links
    assert (resident_bytes(process.pid) or 0) > 200 << 20
    assert resident_bytes_of([name])[name] > 200 << 20
    process.stdin.close()
    await process.wait()
    assert resident_bytes(process.pid) is None
    assert resident_bytes_of([]) == {}


async def test_a_restarted_link_restores_settings(server: FakeServer, link: IndiLink, camera: IndiCamera) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    connection = IndiConnection(link, is_local=True)
    before = link.process_id
    assert (connection.memory_bytes() or 0) > 1 << 20
    server.orders.clear()
    await connection.recycle()
    assert link.process_id not in {None, before}
    assert not camera.is_ready
    assert (await camera.expose(FrameKind.DARK, 0.0)).pixels.shape == SHAPE
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}]


async def test_drivers_are_found_by_their_program(server: FakeServer, link: IndiLink) -> None:
    name = os.path.basename(sys.executable)  # noqa: PTH119 - as above
    server.more = define_text("DRIVER_INFO", DRIVER_EXEC=name)
    await link.wait_connected(PATIENCE_S)
    await link.wait_property(CAMERA, "DRIVER_INFO", PATIENCE_S)
    (taken,) = IndiConnection(link, is_local=True).drivers_memory_bytes().items()
    assert taken[0] == name
    assert taken[1] > 10 << 20
    assert IndiConnection(link, is_local=False).drivers_memory_bytes() == {}
