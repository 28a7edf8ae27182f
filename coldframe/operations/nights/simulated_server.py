"""The INDI server of a simulated rig, in a separate process for the duration of a night."""

import asyncio
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.rig import ServerSettings
from coldframe.devices.errors import DeviceLostError

START_DEADLINE_S = 120.0
STOP_DEADLINE_S = 5.0
HOST = "127.0.0.1"
FREE_PORTS = range(10_000, 20_000)


@asynccontextmanager
async def simulated_server(rig: str) -> AsyncIterator[ServerSettings]:
    """Serve the simulated rig `rig` on a free port and on a local socket of this machine.

    Raises
    ------
    RigFileError
        If there is no such rig.
    DeviceLostError
        If the server does not start.
    """
    load_rig(rig)
    server = ServerSettings(host=HOST, port=_free_port(), unix_socket=f"/tmp/coldframe-{secrets.token_hex(4)}")  # noqa: S108  # an abstract name
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coldframe", "simulate", rig, "--port", str(server.port)),
        *("--unix", str(server.unix_socket), "--until-stdin-closes"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C must not end the server, which is needed to reach the safe state
    )
    try:
        await _wait_until_listening(process, server)
        yield server
    finally:
        await _stop(process)


def _free_port() -> int:
    """Return a free port below Linux's ephemeral range, because an outgoing connection could take an ephemeral port."""
    while True:
        port = secrets.choice(FREE_PORTS)
        with suppress(OSError), socket.create_server((HOST, port)):
            return port


async def _wait_until_listening(process: asyncio.subprocess.Process, server: ServerSettings) -> None:
    deadline_s = asyncio.get_running_loop().time() + START_DEADLINE_S
    while asyncio.get_running_loop().time() < deadline_s and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(server.host, server.port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    await _stop(process)
    assert process.stderr is not None
    output = (await process.stderr.read()).decode(errors="replace").strip()
    raise DeviceLostError(f"simulated rig on port {server.port}", f"did not start ({output or 'no error message'})")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
