"""The addresses of the page: where the server listens, the names of this machine, and the address for a phone."""

import errno
import fcntl
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coldframe.errors import ColdframeError

LARGEST_PORT = 65_535
_PORT = re.compile("[0-9]{1,5}")
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")

_SIOCGIFADDR = 0x8915
"""Request for the IPv4 address of a network interface (netdevice(7))."""


class ListenError(ColdframeError, ValueError):
    """An address or a name is not valid. The error message is one line for the user."""


class CannotListenError(ColdframeError):
    """The server cannot listen on an address. The error message states the reason."""


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
            If the text does not have this form.
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

    @property
    def is_loopback(self) -> bool:
        """True if only programs on this machine can reach the address."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def urls(self) -> list[str]:
        """The URLs to enter in a browser; more than one if the address stands for all interfaces."""
        if ipaddress.ip_address(self.host).is_unspecified:
            hosts = [f"{machine_label()}.local", *_interface_addresses()]
        else:
            hosts = [f"[{self.host}]" if ":" in self.host else self.host]
        return [f"http://{host}:{self.port}/" for host in hosts]


def listening_socket(address: Address) -> socket.socket:
    """Return a socket that listens on an address; ``::`` stands for all IPv6 and IPv4 addresses.

    This function replaces tornado's `bind_sockets`, which leaves its sockets open if an address is refused.

    Raises
    ------
    CannotListenError
        If the address cannot be used.
    """
    listens_on_all = address.host == "::"
    host = "0.0.0.0" if listens_on_all and not socket.has_dualstack_ipv6() else address.host  # noqa: S104 - as asked
    try:
        listener = socket.create_server(
            (host, address.port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            dualstack_ipv6=listens_on_all and host == "::",
        )
    except OSError as error:
        raise CannotListenError(_reason(error, host)) from error
    listener.setblocking(False)
    return listener


def _reason(error: OSError, host: str) -> str:
    """Return the reason for an error without the address, because the caller prints the address itself."""
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    # `create_server` turns a gaierror into an OSError with the same number, which is not an errno. An IP address can
    # only fail to resolve because of the network interface after its percent sign.
    _, _, interface = host.partition("%")
    return f"this machine has no network interface {interface}" if interface else "this machine has no such address"


def served_names(others: Iterable[str], machine: str) -> frozenset[str]:
    """Return the names under which the page may be opened.

    Parameters
    ----------
    others
        Further names that the user permits.
    machine
        The host name of this machine, which may include a domain. Its first label, alone and with ``.local`` (mDNS), is
        also a name of this machine.

    Raises
    ------
    ListenError
        If one of the further names is not a host name.
    """
    own, label = _lowered(machine), _lowered(machine).partition(".")[0]
    return frozenset({"localhost", own, label, f"{label}.local", *map(_checked, others)})


def machine_label() -> str:
    """Return the host name of this machine without its domain."""
    return _lowered(socket.gethostname()).partition(".")[0]


def _lowered(name: str) -> str:
    return name.lower().removesuffix(".")


def _checked(name: str) -> str:
    lowered = _lowered(name)
    if not _NAME.fullmatch(lowered):
        raise ListenError(
            f"--name: found {name!r}; expected the name of a machine without http:// and without a port, such as "
            "telescope.example"
        )
    return lowered


def _interface_addresses() -> Iterator[str]:
    """Yield the IPv4 address of each network interface except the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # the interface has no IPv4 address
                continue
            address = ipaddress.IPv4Address(found[20:24])
            if not address.is_loopback:
                yield str(address)
