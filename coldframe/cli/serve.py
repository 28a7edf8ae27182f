"""`coldframe serve`: show the night in a browser."""

import asyncio
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.web.access import Access, is_loopback
from coldframe.capture.monitoring.web.token_file import TokenFileError, read_token
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_settings
from coldframe.errors import MissingPackageError
from coldframe.operations.nights.end_signals import on_end_signals

try:
    from coldframe.capture.monitoring.web.server import CannotListenError, Listening, WebNight, serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "tornado":
        raise
    raise MissingPackageError("tornado") from error

NICENESS = 10
"""The page yields the processor to the night."""

TOKEN_FILE = "web-token"  # noqa: S105 - a name, not a token

LARGEST_PORT = 65_535
_PORT = re.compile("[0-9]{1,5}")

OPEN_TO_THE_NETWORK = (
    "warning: anyone who can reach {0} can see the night, without encryption. On networks that you do not control, "
    "listen on 127.0.0.1 and use ssh or WireGuard"
)
OPEN_COMMANDS = (
    "warning: with --commands, anyone who can read the traffic to {0} can read the token, and then pause and end nights"
)


class ListenError(ValueError):
    """The address to listen on is not valid. The error's text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a TCP port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in a text such as ``127.0.0.1:8787`` or ``[::1]:8787``.

        Raises
        ------
        ListenError
            If the text is not of this form.
        """
        host, _, port = text.rpartition(":")
        kind = ipaddress.IPv6Address if host.startswith("[") and host.endswith("]") else ipaddress.IPv4Address
        try:
            address = kind("127.0.0.1" if host == "localhost" else host.strip("[]"))
        except ValueError:
            address = None
        if address is None or not _PORT.fullmatch(port) or int(port) > LARGEST_PORT:
            raise ListenError(
                f"--listen: found {text!r}; expected an IP address and a port, such as 127.0.0.1:8787, 0.0.0.0:8787 or "
                "[::]:8787"
            )
        return cls(str(address), int(port))


def serve_night(
    config: Path | None, folder: Path | None, listen: str, names: Iterable[str], *, commands: bool
) -> ExitCode:
    """Serve the page of the run that stores its night in a folder, until a signal arrives."""
    try:
        address = Address.parse(listen)
        storage = folder or load_settings(config or find_config()).storage.folder
        token_file = find_config().with_name(TOKEN_FILE)
        token = read_token(token_file) if commands else None
    except (ListenError, ConfigError, TokenFileError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    _warn(address, listen, commands=commands)
    if commands:
        print(f"Commands need the token in {token_file}", file=sys.stderr)
    web = WebNight(LocalSource(storage), storage, Access(_own_names(names), token))
    os.nice(NICENESS)
    try:
        asyncio.run(_until_signalled(web, address))
    except CannotListenError as error:
        print(f"{listen}: {error}; choose another address with --listen", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


def _warn(address: Address, listen: str, *, commands: bool) -> None:
    if is_loopback(address.host):
        return
    print(OPEN_TO_THE_NETWORK.format(listen), file=sys.stderr)
    if commands:
        print(OPEN_COMMANDS.format(listen), file=sys.stderr)


def _own_names(names: Iterable[str]) -> frozenset[str]:
    own = socket.gethostname().lower()
    return frozenset({"localhost", own, f"{own}.local", *(name.lower() for name in names)})


async def _until_signalled(web: WebNight, address: Address) -> None:
    end = asyncio.Event()
    on_end_signals(end.set)
    await serve(web, address.host, address.port, _say, end)


def _say(listening: Listening) -> None:
    print(f"The night is at {listening.url}", flush=True)
