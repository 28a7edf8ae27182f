"""A server that sends invalid data may crash the process of the link, but not the link."""

import asyncio
import random
import resource

import pytest

from coldframe.devices.errors import DeviceLostError
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


class Hostile:
    """Answers the first connections with XML without an end, which it never closes, and then serves a camera."""

    def __init__(self, begin: bytes, endless: bytes, times: int) -> None:
        self.connections = 0
        self._begin = begin
        self._endless = endless
        self.times = times

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.connections > self.times:
                writer.write(VALID.rsplit(b"<delProperty", 1)[0])
                while await reader.read(1000):
                    pass
            else:
                writer.write(self._begin)
                while True:
                    writer.write(self._endless)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


ENDLESS_ELEMENT = (
    f'<defTextVector device="{CAMERA}" name="CFA" state="Ok" perm="rw"><defText name="X">'.encode(),
    b"x" * 50_000,
)
NESTED = (b"", b"<defTextVector device='x' name='y'>" * 1000)


@pytest.mark.parametrize(("begin", "endless"), [ENDLESS_ELEMENT, NESTED], ids=["endless element", "nested"])
async def test_xml_without_an_end_costs_only_its_connection(
    begin: bytes, endless: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = Hostile(begin, endless, times=2)
    server = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    async with server, IndiLink("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        await until(lambda: link.mirror.find(CAMERA, "CONNECTION"))
    assert hostile.connections == 3
    assert caplog.text.count("reconnecting: the server sent") == 2


async def test_an_error_names_the_xml_for_which_the_connection_was_closed(caplog: pytest.LogCaptureFixture) -> None:
    hostile = Hostile(*NESTED, times=1000)
    server = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    async with server, IndiLink("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        await until(lambda: "reconnecting" in caplog.text)
        with pytest.raises(DeviceLostError, match="the server sent XML elements that are nested more than 4 deep"):
            await link.wait_property(CAMERA, "CONNECTION", PATIENCE_S)
        hostile.times = 0
        await until(lambda: link.mirror.find(CAMERA, "CONNECTION"))


@pytest.mark.deep
async def test_the_link_survives_a_server_that_sends_nonsense_for_long() -> None:
    await survive(60, random.SystemRandom().randrange(1 << 32))
