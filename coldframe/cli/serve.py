"""`coldframe serve`: show the night in a browser."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.web.access import Access
from coldframe.capture.monitoring.web.addresses import Address, CannotListenError, ListenError, served_names
from coldframe.capture.monitoring.web.token_file import TokenFileError, read_token
from coldframe.capture.threads import DaemonThreads, DiskHangsError, read_in_thread
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_settings
from coldframe.errors import MissingPackageError
from coldframe.operations.nights.end_signals import on_end_signals

try:
    from coldframe.capture.monitoring.web.server import WebNight, serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "tornado":
        raise
    raise MissingPackageError("tornado") from error

NICENESS = 10
"""Increase in the niceness of this process, so that it has a lower priority than the night."""

TOKEN_FILE = "web-token"  # noqa: S105 - a name, not a token

OPEN_TO_THE_NETWORK = (
    "warning: anyone who can reach {0} can see the night, without encryption. On networks that you do not control, "
    "listen on 127.0.0.1 and use ssh or WireGuard"
)
OPEN_COMMANDS = (
    "warning: with --commands, anyone who can read the traffic to {0} can read the token, and then pause and end nights"
)


def serve_night(
    config: Path | None, folder: Path | None, listen: str, names: Iterable[str], *, commands: bool
) -> ExitCode:
    """Serve the page of the run that stores its night in a folder, until a signal arrives."""
    try:
        address = Address.parse(listen)
        storage = folder or load_settings(config or find_config()).storage.folder
        token_file = find_config().with_name(TOKEN_FILE)
        own_names = served_names(names, socket.gethostname())
        access = Access(own_names, read_token(token_file) if commands else None)
    except (ListenError, ConfigError, TokenFileError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    _warn(address, listen, commands=commands)
    if commands:
        print(f"Commands need the token in {token_file}", file=sys.stderr)
    web = WebNight(LocalSource(storage), storage, access)
    os.nice(NICENESS)
    try:
        asyncio.run(_until_signalled(web, storage, address))
    except CannotListenError as error:
        print(f"{listen}: {error}; choose another address with --listen, or try again later", file=sys.stderr)
        # Not BAD_INPUT, because the network interface might not be up yet, and a service then tries again.
        return ExitCode.INCOMPLETE
    return ExitCode.DONE


def _warn(address: Address, listen: str, *, commands: bool) -> None:
    if address.is_loopback:
        return
    print(OPEN_TO_THE_NETWORK.format(listen), file=sys.stderr)
    if commands:
        print(OPEN_COMMANDS.format(listen), file=sys.stderr)


async def _until_signalled(web: WebNight, storage: Path, address: Address) -> None:
    # A disk that hangs must not keep the process from ending.
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    end = asyncio.Event()
    on_end_signals(end.set)
    checking = asyncio.create_task(_warn_if_missing(storage), name="storage")
    try:
        await serve(web, address, _print_urls, end)
    finally:
        checking.cancel()
        await asyncio.wait([checking])


async def _warn_if_missing(storage: Path) -> None:
    with suppress(OSError, DiskHangsError):
        if not await read_in_thread(storage.is_dir):
            print(
                f"warning: {storage}: this folder does not exist yet; nights are shown once it exists", file=sys.stderr
            )


def _print_urls(address: Address) -> None:
    print(f"The night is at {' and '.join(address.urls)}", flush=True)
