"""Decide which requests the page answers, from the host name, the origin of a command, and the token.

This module performs no I/O.
"""

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Access:
    """The rules for requests.

    Attributes
    ----------
    names
        Names of this machine, in lower case and without a final dot, under which the page may be opened.
    token
        Token required for commands; None if the page accepts no commands.
    """

    names: frozenset[str]
    token: str | None = None

    def __repr__(self) -> str:
        return f"Access({sorted(self.names)})"

    def is_served(self, host: str) -> bool:
        """Return True if the page may be opened under the host that a request names.

        An IP address is always allowed. A name must be known, because a hostile page could make its own name resolve to
        this machine (DNS rebinding), and the browser would then treat that page and this one as a single site. The port
        does not matter, because ssh can forward a different port.
        """
        name = _host_name(host)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True

    def is_own_page(self, origin: str, host: str) -> bool:
        """Return True if a command comes from a page of this server, according to the Origin header."""
        scheme, separator, place = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and place.lower() == host.lower() and bool(place)

    def has_token(self, authorization: str) -> bool:
        """Return True if an Authorization header contains the token. The comparison takes constant time."""
        if self.token is None:
            return False
        return hmac.compare_digest(authorization.encode("utf-8", "replace"), f"{BEARER}{self.token}".encode())


def _host_name(host: str) -> str | None:
    """Return the name in a Host header in lower case, without port or final dot; None if the header is not valid."""
    if any(character in host for character in "/@?#\\ "):
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return None if parts.hostname is None else parts.hostname.removesuffix(".")
