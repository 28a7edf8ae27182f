"""The process that runs pyindi-client: `python -m coldframe.devices.indi.child HOST PORT`.

The library has crashed in the field (pyindi-client#46, #59, #61). It also prints to the terminal, and invokes callbacks
on its own threads. At worst, a crash ends this process, which the parent process then restarts. Each line on standard
input is a command in JSON, and each line on standard output is an event in JSON. The library's own output is redirected
to standard error.

The process ends when it loses the server. After a connection has broken, the library's client object may no longer
receive anything, so a new process is both the simplest and the safest way to reconnect.
"""

import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import PyIndi

from coldframe.devices.indi.child.relay import Relay

KINDS = {
    PyIndi.INDI_NUMBER: "number",
    PyIndi.INDI_SWITCH: "switch",
    PyIndi.INDI_TEXT: "text",
    PyIndi.INDI_LIGHT: "light",
    PyIndi.INDI_BLOB: "blob",
}
STATES = {PyIndi.IPS_IDLE: "idle", PyIndi.IPS_OK: "ok", PyIndi.IPS_BUSY: "busy", PyIndi.IPS_ALERT: "alert"}

Json = dict[str, Any]


def describe(prop: PyIndi.Property) -> Json:
    """Return a property as plain data. Call this function inside the callback that announced the property."""
    kind = KINDS.get(prop.getType(), "unknown")
    event: Json = {
        "event": "property",
        "device": prop.getDeviceName(),
        "name": prop.getName(),
        "label": prop.getLabel(),
        "kind": kind,
        "state": STATES.get(prop.getState(), "idle"),
        "readable": prop.getPermission() != PyIndi.IP_WO,
        "writable": prop.getPermission() != PyIndi.IP_RO,
        "values": {},
        "labels": {},
        "limits": {},
    }
    if kind == "number":
        for number in PyIndi.PropertyNumber(prop):
            event["values"][number.getName()] = number.getValue()
            event["labels"][number.getName()] = number.getLabel()
            event["limits"][number.getName()] = [number.getMin(), number.getMax(), number.getStep()]
    elif kind == "switch":
        for switch in PyIndi.PropertySwitch(prop):
            event["values"][switch.getName()] = switch.getState() == PyIndi.ISS_ON
            event["labels"][switch.getName()] = switch.getLabel()
    elif kind == "text":
        for text in PyIndi.PropertyText(prop):
            event["values"][text.getName()] = text.getText()
            event["labels"][text.getName()] = text.getLabel()
    return event


class Client(PyIndi.BaseClient):  # type: ignore[misc]  # the library has no types
    """A client that turns the library's callbacks into events on a queue.

    An exception that escapes from a callback stops all further callbacks and aborts the process at exit, so every
    exception is caught.
    """

    def __init__(self, events: "queue.SimpleQueue[Json | None]") -> None:
        super().__init__()
        self._events = events

    def _put(self, describe_event: Callable[[], Json]) -> None:
        try:
            self._events.put(describe_event())
        except BaseException as error:  # noqa: BLE001  # see the class docstring
            self._events.put({"event": "fault", "text": repr(error)})

    def newProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802  # the library's name
        """Report a newly defined property."""
        self._put(lambda: describe(prop))

    def updateProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802  # the library's name
        """Report a changed property."""
        self._put(lambda: describe(prop))

    def removeProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802  # the library's name
        """Report that a property was removed."""
        self._put(lambda: {"event": "removed", "device": prop.getDeviceName(), "name": prop.getName()})

    def removeDevice(self, device: PyIndi.BaseDevice) -> None:  # noqa: N802  # the library's name
        """Report that a device was removed."""
        self._put(lambda: {"event": "removed", "device": device.getDeviceName(), "name": None})

    def newMessage(self, device: PyIndi.BaseDevice, number: int) -> None:  # noqa: N802  # the library's name
        """Report a driver's message."""
        self._put(lambda: {"event": "message", "device": device.getDeviceName(), "text": device.messageQueue(number)})

    def newPingReply(self, uid: str) -> None:  # noqa: N802  # the library's name
        """Report the server's answer to a ping."""
        self._put(lambda: {"event": "pong", "uid": uid})

    def serverDisconnected(self, _code: int) -> None:  # noqa: N802  # the library's name
        """End the stream of events, and thereby the process."""
        self._events.put(None)


def send(client: Client, order: Json) -> None:
    """Send new values in a new property object; the library's own object would show them before they are accepted."""
    if order["order"] == "ping":
        client.sendPingRequest(order["uid"])
        return
    values = order["values"]
    prop: Any
    match order["kind"]:
        case "number":
            prop = PyIndi.PropertyNumber(len(values))
            for element, value in zip(prop, values.values(), strict=True):
                element.setValue(value)
        case "switch":
            prop = PyIndi.PropertySwitch(len(values))
            for element, value in zip(prop, values.values(), strict=True):
                element.setState(PyIndi.ISS_ON if value else PyIndi.ISS_OFF)
        case _:
            prop = PyIndi.PropertyText(len(values))
            for element, value in zip(prop, values.values(), strict=True):
                element.setText(value)
    for element, name in zip(prop, values, strict=True):
        element.setName(name)
    prop.setDeviceName(order["device"])
    prop.setName(order["name"])
    client.sendNewProperty(prop)


def obey(client: Client, events: "queue.SimpleQueue[Json | None]") -> None:
    """Execute the parent's commands until the parent closes the pipe."""
    try:
        for line in sys.stdin:
            send(client, json.loads(line))
    finally:
        events.put(None)


def tcp_connections() -> list[socket.socket]:
    """Return the TCP sockets of this process. One of them is the library's connection, which it does not expose."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            connection = socket.socket(fileno=os.dup(int(descriptor.name)))
            if connection.family in (socket.AF_INET, socket.AF_INET6):
                found.append(connection)
            else:
                connection.close()
    return found


def hurry(connections: list[socket.socket]) -> None:
    """Make sockets send and acknowledge data without delay. Call this for every message (tcp(7), TCP_QUICKACK).

    The library sends a command in several pieces, and the server sends its answer in several pieces. With TCP's default
    delays, each piece waits 40 ms for the acknowledgement of the previous piece. This adds 80 ms to every exposure.
    """
    for connection in connections:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def connect(client: Client, host: str, port: int, events: "queue.SimpleQueue[Json | None]") -> bool:
    """Connect the library to the server through a relay, and return True if the connection is established."""

    def refuse(reason: str) -> None:
        events.put({"event": "refused", "text": reason})
        events.put(None)

    try:
        relay = Relay(host, port, refuse)
        client.setServer("127.0.0.1", relay.port)
        client.setConnectionTimeout(5, 0)
        if not client.connectServer():
            return False
        library = relay.accept()
        # Another program on this machine may have connected to the port.
        if library.getpeername() not in {connection.getsockname() for connection in tcp_connections()}:
            return False
    except OSError:
        return False
    relay.start(library)
    return True


def main() -> None:
    """Connect, then relay commands and events until the server or the parent disappears."""
    host, port = sys.argv[1], int(sys.argv[2])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the library also prints to C's standard output
    events: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
    client = Client(events)
    if not connect(client, host, port, events):
        sys.exit(3)
    connections = tcp_connections()
    hurry(connections)
    events.put({"event": "connected"})
    threading.Thread(target=obey, args=(client, events), daemon=True, name="orders").start()
    try:
        while (event := events.get()) is not None:
            hurry(connections)
            out.write(json.dumps(event) + "\n")
            if events.empty():
                out.flush()
        out.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the parent has ended or is ending
    finally:
        # A process that exits with a live client crashes in the library's destructors (in 2 to 5 of 5 trials).
        client.disconnectServer()
        os._exit(0)


if __name__ == "__main__":
    main()
