"""The link's memory is known, and the link can be started anew without the devices losing what they were set to."""

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


async def test_the_memory_of_a_process_is_known_by_number_and_by_name() -> None:
    process = await create_subprocess_exec(sys.executable, "-c", GROWN, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    name = os.path.basename(sys.executable)  # noqa: PTH119 - as the kernel has it, links left alone
    assert (resident_bytes(process.pid) or 0) > 200 << 20
    assert resident_bytes_of([name])[name] > 200 << 20
    process.stdin.close()
    await process.wait()
    assert resident_bytes(process.pid) is None
    assert resident_bytes_of([]) == {}


async def test_a_link_that_is_started_anew_costs_nothing(
    server: FakeServer, link: IndiLink, camera: IndiCamera
) -> None:
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


async def test_drivers_are_found_by_the_program_that_they_name(server: FakeServer, link: IndiLink) -> None:
    name = os.path.basename(sys.executable)  # noqa: PTH119 - as above
    server.more = define_text("DRIVER_INFO", DRIVER_EXEC=name)
    await link.wait_connected(PATIENCE_S)
    await link.wait_property(CAMERA, "DRIVER_INFO", PATIENCE_S)
    (taken,) = IndiConnection(link, is_local=True).drivers_memory_bytes().items()
    assert taken[0] == name
    assert taken[1] > 10 << 20
    assert IndiConnection(link, is_local=False).drivers_memory_bytes() == {}
