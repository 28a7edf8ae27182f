"""Thousands of frames over the real link, without lost frames or growth of memory or open files."""

import os
from pathlib import Path

import pytest

from benchmarks.indi.servers import BLOB_DRIVER, indiserver
from benchmarks.throughput import DEVICE, SHORTEST_S
from coldframe.config.frames import FrameKind
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from tests.indi.servers import HOST

pytestmark = [pytest.mark.indi, pytest.mark.deep]

SIZE = "2464x1640"
WARM_FRAMES = 200
FRAMES = int(os.environ.get("COLDFRAME_ENDURANCE_FRAMES", "5000"))
MOST_GROWTH = 1.02


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


async def test_memory_stays_flat_and_no_frame_is_lost() -> None:
    with indiserver(BLOB_DRIVER, COLDFRAME_BENCH_SIZE=SIZE) as server:
        async with IndiLink(HOST, server.port) as link:
            camera = IndiCamera(link, DEVICE, server)
            await camera.connect()
            assert link.process_id is not None
            processes = (os.getpid(), link.process_id)

            async def shoot(count: int) -> list[int]:
                numbers = []
                for _ in range(count):
                    frame = await camera.expose(FrameKind.BIAS, SHORTEST_S)
                    # The driver writes the number of a frame to its first pixels. FITS words are signed.
                    numbers.append(int(frame.pixels[0, 3] ^ 0x8000) | int(frame.pixels[0, 2] ^ 0x8000) << 16)
                return numbers

            numbers = await shoot(WARM_FRAMES)
            before = [(resident_bytes(process), descriptors(process)) for process in processes]
            numbers += await shoot(FRAMES - WARM_FRAMES)
            after = [(resident_bytes(process), descriptors(process)) for process in processes]
            await camera.close()
    assert numbers == list(range(numbers[0], numbers[0] + FRAMES))
    for (then, fds), (now, fds_now) in zip(before, after, strict=True):
        print(f"{then} bytes, {fds} descriptors -> {now} bytes, {fds_now} descriptors")
        assert now <= MOST_GROWTH * then
        assert fds_now <= fds
