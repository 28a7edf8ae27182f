"""A server that sends invalid data may crash the process of the link, but not the link."""

import asyncio
import random
import resource

import pytest

from coldframe.devices.indi.link import IndiLink
from tests.devices.indi.fake_server import CAMERA, define_number, define_switch, define_text, exposure
from tests.fuzzing.mutations import mutated
from tests.patience import PATIENCE_S, until

VALID = (
    define_number("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": (0, 3600, 1)})
    + define_switch("CONNECTION", CONNECT=True, DISCONNECT=False)
    + define_text("CFA", CFA_TYPE="RGGB")
    + exposure("Busy")
    + f'<message device="{CAMERA}" message="hello"/><delProperty device="{CAMERA}"/>'
).encode()
TOKENS = (
    b"<",
    b">",
    b"&#0;",
    b"&lt;",
    b"<defNumberVector ",
    b'device=""',
    b"<delProperty device='x'/>",
    b"]]>",
    b"<oneBLOB",
)


class Nonsense:
    """Answers each connection with random nonsense and closes it, until it becomes sensible."""

    def __init__(self, seed: int) -> None:
        self.connections = 0
        self._seed = seed
        self.is_sensible = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        chance = random.Random(f"{self._seed}/{self.connections}")
        for _ in range(1 if self.is_sensible else 50):
            writer.write(VALID.rsplit(b"<delProperty", 1)[0] if self.is_sensible else mutated(VALID, TOKENS, chance))
        if not self.is_sensible:
            writer.close()
            return
        while await reader.read(1000):
            pass
        writer.close()


async def survive(rounds: int, seed: int) -> None:
    nonsense = Nonsense(seed)
    server = await asyncio.start_server(nonsense.serve, "127.0.0.1", 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with server, IndiLink("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        async with asyncio.timeout(rounds * PATIENCE_S):
            while nonsense.connections < rounds:
                await asyncio.sleep(0.05)
        nonsense.is_sensible = True
        await until(lambda: link.mirror.find(CAMERA, "CONNECTION"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


async def test_the_link_survives_a_server_that_sends_nonsense() -> None:
    await survive(4, 2026)


@pytest.mark.deep
async def test_the_link_survives_a_server_that_sends_nonsense_for_long() -> None:
    await survive(60, random.SystemRandom().randrange(1 << 32))
