"""`coldframe simulate`: serve a simulated rig to any INDI client."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from coldframe.calibration.files.durable import NotDurableError
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.examples import example_night
from coldframe.config.loading import ConfigError, load_settings
from coldframe.config.simulated_rig import RigFileError, load_rig, switched_on_now
from coldframe.config.tables.rig import LOOPBACK_HOSTS
from coldframe.counted import counted
from coldframe.simulators.indi.serve import serve
from coldframe.simulators.lights import write_lights


def serve_rig(name: str, host: str, port: int, unix_socket: str | None, *, until_stdin_closes: bool) -> ExitCode:
    """Serve the named rig until the process is interrupted, or optionally until standard input closes."""
    try:
        rig = switched_on_now(load_rig(name))
    except RigFileError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    if host not in LOOPBACK_HOSTS:
        print(f"warning: INDI has no passwords; anyone who can reach {host} can control this rig", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    places = f"{host}:{port}" + (f" and {unix_socket}" if unix_socket else "")
    try:
        announce = partial(print, f"serving {name} on {places}; press Ctrl-C to stop", flush=True)
        serving = serve(rig, host, port, unix_socket, started=announce)
        asyncio.run(_until_input_ends(serving) if until_stdin_closes else serving)
    except KeyboardInterrupt:
        return ExitCode.DONE
    except OSError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


def leave_lights(name: str, folder: Path) -> ExitCode:
    """Write a few lights from the named rig into a folder."""
    try:
        night = load_settings(example_night(name))
        written = write_lights(folder, load_rig(name), night, datetime.now(UTC))
    except (RigFileError, ConfigError, NotDurableError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or folder}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    print(f"{counted(len(written), 'light')} written to {folder}")
    return ExitCode.DONE


async def _until_input_ends(serving: Coroutine[Any, Any, None]) -> None:
    """Serve until the other end of standard input closes, as it does even if the parent process is killed."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    server, end = asyncio.create_task(serving), asyncio.create_task(reader.read())
    try:
        await asyncio.wait((server, end), return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            server.result()
    finally:
        transport.close()
        for task in (server, end):
            task.cancel()
        await asyncio.wait((server, end))
