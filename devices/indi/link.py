"""The control connection to an INDI server: commands and properties, with pyindi-client in a separate process."""

import asyncio
import json
import logging
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self, TypeVar

from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.indi.mirror import DISCONNECTED_ADVICE, Mirror, Property, State, Value, in_brackets
from coldframe.devices.watchers import Watchers
from coldframe.errors import MissingPackageError

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_DEADLINE_S = 15.0
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 10.0
PING_PERIOD_S = 10.0
PING_DEADLINE_S = 20.0
LINE_LIMIT_BYTES = 1 << 20
OLD_STATE_S = 5.0
"""Time allowed for a driver to read a command. Until it has read the command, it may repeat the earlier state."""
TAKEN: frozenset[State] = frozenset({"ok", "idle"})
"""States in which new values count as accepted. Some drivers show a switch vector as Idle when it is off, and some
panels acknowledge a brightness with Idle."""


class IndiLink:
    """The connection to one INDI server. While open, it restarts its process and reconnects whenever necessary.

    Parameters
    ----------
    host, port
        Address of the server.

    Notes
    -----
    All state is read from the mirror. A setting counts as accepted when an event newer than the command shows the
    commanded value in a good state. The library's cache cannot confirm a setting, because it shows new values at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.mirror = Mirror()
        self.generation = 0
        """Number of connections so far. Devices are set up again whenever this number changes."""
        self._connected = False
        self._watchers = Watchers()
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._last_pong_s: float | None = None
        self._refusal = ""  # reason why the process closed the last connection, if the server exceeded a limit

    @property
    def server(self) -> str:
        """The server's address, for messages."""
        return f"INDI server {self.host}:{self.port}"

    @property
    def connected(self) -> bool:
        """True while connected to the server."""
        return self._connected

    async def __aenter__(self) -> Self:
        if find_spec("PyIndi") is None:
            raise MissingPackageError("pyindi-client")
        self._supervisor = asyncio.create_task(self._supervise(), name="INDI link")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            # Awaiting the task would raise its cancellation, which looks like a cancellation of the caller.
            await asyncio.wait([self._supervisor])

    @property
    def process_id(self) -> int | None:
        """Id of the process that holds the connection; None while no process is running."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def recycle(self, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        """End the process to free the memory that the library leaked, and wait until a new process is connected.

        Raises
        ------
        DeviceLostError
            If the server does not answer in time.
        """
        generation = self.generation
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await self._watchers.until(
                lambda: True if self._connected and self.generation > generation else None, deadline_s
            )
        except TimeoutError:
            raise DeviceLostError(self.server, f"no answer to a new connection within {deadline_s:g} s") from None

    async def wait_connected(self, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        """Wait until the server answers.

        Raises
        ------
        DeviceLostError
            If the server does not answer in time.
        """
        try:
            await self._watchers.until(lambda: self._connected or None, deadline_s)
        except TimeoutError:
            raise DeviceLostError(
                self.server,
                f"no answer within {deadline_s:g} s",
                "Is indiserver running there, and are host and port correct?",
            ) from None

    async def wait(self, device: str, seen: Callable[[], T | None], deadline_s: float, waiting_for: str) -> T:
        """Call `seen` at once and after every event until it returns a value other than None, and return that value.

        Raises
        ------
        DeviceLostError
            If the server or the device disappears during the wait.
        DeviceTimeoutError
            If `deadline_s` passes first.
        """
        generation, removals = self.generation, self.mirror.removals(device)
        disconnections = self.mirror.disconnections(device)

        def seen_or_lost() -> T | None:
            if (result := seen()) is not None:
                return result
            if not self._connected or self.generation != generation:
                raise DeviceLostError(
                    device,
                    f"the connection to the {self.server} was lost while waiting for {waiting_for}"
                    + in_brackets(self._refusal),
                )
            if self.mirror.removals(device) != removals:
                raise DeviceLostError(
                    device, f"its driver disappeared while waiting for {waiting_for}", "Did the driver crash?"
                )
            if self.mirror.disconnections(device) != disconnections:
                raise DeviceLostError(
                    device,
                    f"another client or the driver disconnected it while waiting for {waiting_for}",
                    DISCONNECTED_ADVICE,
                )
            return None

        try:
            return await self._watchers.until(seen_or_lost, deadline_s)
        except TimeoutError:
            raise DeviceTimeoutError(
                device, f"timed out after {deadline_s:g} s while waiting for {waiting_for}"
            ) from None

    def wake(self) -> None:
        """Check the conditions of all waiting tasks, after something other than an event from the server."""
        self._watchers.wake()

    async def wait_answer(
        self, device: str, name: str, taken: Callable[[], T | None], deadline_s: float, waiting_for: str
    ) -> T:
        """Wait, as `wait` does, for the driver's answer to a command just sent for property `name`.

        Until the driver reads the command, it may repeat the state in which an earlier command, perhaps from another
        client, left the property. Therefore an error raised by `taken` counts only after the property has shown a
        different state, or after `OLD_STATE_S` or half the deadline, whichever is shorter.
        """
        before, sent = self.mirror.find(device, name), self.mirror.serial
        old_state = before.state if before is not None else None
        errors: list[DeviceError] = []
        is_answered = is_too_late = False

        def answered() -> T | None:
            nonlocal is_answered
            prop = self.mirror.find(device, name)
            is_answered = is_answered or (prop is not None and prop.serial > sent and prop.state != old_state)
            try:
                if (result := taken()) is not None:
                    return result
            except DeviceError as error:
                if is_answered:
                    raise
                errors.append(error)
            if errors and is_too_late:
                raise errors[-1]
            return None

        def expire() -> None:
            nonlocal is_too_late
            is_too_late = True
            self._watchers.wake()

        timer = asyncio.get_running_loop().call_later(min(OLD_STATE_S, deadline_s / 2), expire)
        try:
            return await self.wait(device, answered, deadline_s, waiting_for)
        finally:
            timer.cancel()

    async def wait_property(self, device: str, name: str, deadline_s: float) -> Property:
        """Wait until `device` defines the property `name`."""
        return await self.wait(device, lambda: self.mirror.find(device, name), deadline_s, f"property {name}")

    async def wait_quiet(self, quiet_s: float) -> None:
        """Wait until the server has sent nothing for `quiet_s`, or until ten times `quiet_s` has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(10 * quiet_s):
                while True:
                    serial = self.mirror.serial
                    await asyncio.sleep(quiet_s)
                    if self.mirror.serial == serial:
                        return

    def send(self, device: str, name: str, values: Mapping[str, Value]) -> int:
        """Send new values of a property, and return the serial number of the newest event before the command.

        Raises
        ------
        DeviceLostError
            If the server is not connected, or the driver is missing, is disconnected or has removed the property.
        NotSupportedError
            If the device does not have the property, or the property is read-only.
        SettingRefusedError
            If a number is not finite, or is outside the range that the driver announces. Nothing is sent, because some
            drivers would answer the value with an Ok; in a test, an exposure of NaN seconds never ended.
        """
        prop = self.mirror.find(device, name)
        if not self._connected:
            raise DeviceLostError(device, f"{self.server} is not connected")
        if prop is None:
            self.mirror.expect_lasting(device, name)
        if prop is None or not prop.writable:
            raise NotSupportedError(device, f"has no property {name} that can be set")
        for element, value in values.items():
            self._check(prop, element, value)
        serial = self.mirror.serial
        self._order({"order": "send", "device": device, "name": name, "kind": prop.kind, "values": dict(values)})
        return serial

    @staticmethod
    def _check(prop: Property, element: str, value: Value) -> None:
        if element not in prop.values:
            known = ", ".join(prop.values)
            raise NotSupportedError(prop.device, f"{prop.name} has no element {element} (it has {known})")
        limits = prop.limits.get(element)
        if limits is None:
            return
        number = float(value)
        # Drivers announce an unknown range as 0 to 0.
        if not math.isfinite(number) or (limits.maximum > limits.minimum and not limits.contains(number)):
            raise SettingRefusedError(
                prop.device,
                f"{prop.name}.{element} = {number:g} is outside the range {limits.minimum:g} to {limits.maximum:g}",
            )

    async def set(
        self,
        device: str,
        name: str,
        values: Mapping[str, Value],
        deadline_s: float = 10.0,
        good_states: frozenset[State] = TAKEN,
    ) -> Property:
        """Set new values of a property, wait until the driver shows them in a good state, and return the property.

        `good_states` are the states in which the new values count as accepted; drivers differ in their use of Busy.

        Raises
        ------
        SettingRefusedError
            If the driver answers with an alert.
        DeviceTimeoutError, DeviceLostError, NotSupportedError
            See `wait` and `send`.
        """
        sent = self.send(device, name, values)

        def taken() -> Property | None:
            prop = self.mirror.find(device, name)
            if prop is None or prop.serial <= sent:
                return None
            if prop.state == "alert":
                message = self.mirror.message_since(device, sent)
                raise SettingRefusedError(device, f"{name} refused {_words(values)}" + in_brackets(message))
            return prop if prop.state in good_states and shows_values(prop, values) else None

        return await self.wait_answer(device, name, taken, deadline_s, f"{name} = {_words(values)}")

    async def choose(self, device: str, name: str, element: str, deadline_s: float = 10.0) -> Property:
        """Switch on one element of a property in which exactly one switch is on at a time."""
        return await self.set(device, name, {element: True}, deadline_s)

    def _order(self, order: Mapping[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _supervise(self) -> None:
        """Keep a process running, and restart it whenever it ends.

        As long as connection attempts fail, each pause is twice as long as the previous one, up to a limit.
        """
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                if await self._one_life():
                    backoff_s = FIRST_BACKOFF_S
            except Exception:  # without a link, the rig cannot be brought to the safe state
                log.exception("%s: the link failed; restarting it", self.server)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)

    async def _one_life(self) -> bool:
        """Run one process until it ends. Return True if it connected to a server that did not exceed a limit."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "coldframe.devices.indi.child", self.host, str(self.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,  # Ctrl-C must not end it: the link is needed to reach the safe state
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        helpers = [
            asyncio.create_task(_log_lines(process.stderr), name="INDI library output"),
            asyncio.create_task(self._ping(process), name="INDI ping"),
        ]
        was_connected = False
        try:
            async for line in process.stdout:
                self._take(json.loads(line))
                was_connected = was_connected or self._connected
        except ValueError as error:  # the line is too long or is not JSON
            log.warning("%s: restarting the link: %s", self.server, error)
        finally:
            self._connected = False
            self.mirror.clear()
            self._watchers.wake()
            for task in helpers:
                task.cancel()
            await end_process(process)
        if was_connected:
            log.warning("%s: connection lost (link process ended with %s)", self.server, process.returncode)
        return was_connected and not self._refusal

    def _take(self, event: Mapping[str, Any]) -> None:
        now_s = asyncio.get_running_loop().time()
        match event["event"]:
            case "connected":
                self.generation += 1
                self._connected = True
                self._last_pong_s = None
                self._refusal = ""
            case "pong":
                self._last_pong_s = now_s
            case "refused":
                self._refusal = event["text"]
                log.warning("%s: reconnecting: %s", self.server, self._refusal)
            case "fault":
                log.warning("%s: unreadable event: %s", self.server, event["text"])
            case _:
                self.mirror.apply(event, now_s)
        self._watchers.wake()

    async def _ping(self, process: asyncio.subprocess.Process) -> None:
        """Ping the server regularly, because a half-open connection raises no error (seen in indigo#380).

        Servers before INDI 1.9.2 never answer pings, so silence counts only after the first answer.
        """
        while True:
            await asyncio.sleep(PING_PERIOD_S)
            if not self._connected:
                continue
            if self._last_pong_s is not None:
                silence_s = asyncio.get_running_loop().time() - self._last_pong_s
                if silence_s > PING_DEADLINE_S:
                    log.warning("%s: no answer to a ping for %.0f s, reconnecting", self.server, silence_s)
                    process.kill()
                    return
            self._order({"order": "ping", "uid": "coldframe"})


def shows_values(prop: Property, values: Mapping[str, Value]) -> bool:
    """Return True if `prop` shows the wanted values, allowing for numbers that are rounded to six digits."""
    for element, wanted in values.items():
        shown = prop.values.get(element)
        if prop.kind == "number":
            if shown is None or not math.isclose(float(shown), float(wanted), rel_tol=1e-5, abs_tol=1e-6):
                return False
        elif shown != wanted:
            return False
    return True


def _words(values: Mapping[str, Value]) -> str:
    return ", ".join(name if value is True else f"{name} {value}" for name, value in values.items())


async def _log_lines(stream: asyncio.StreamReader) -> None:
    async for line in stream:
        log.debug("INDI library: %s", line.decode(errors="replace").rstrip())


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Ask the process to disconnect and exit. Kill it if it does not exit in time."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await process.wait()
    finally:
        if process.returncode is None:  # the process hangs, or the wait was cancelled
            process.kill()
            await process.wait()
