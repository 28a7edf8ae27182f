"""`coldframe.run_night` and `coldframe.run_night_async`."""

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Literal, TypeAlias

from coldframe.api.arguments import AnyPath, optional_path, words_of
from coldframe.capture.events.kinds import Event
from coldframe.capture.events.stream import EventStream, Subscriber
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.host.systemd import ServiceWatch
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.journal import encode_event, is_journalled
from coldframe.operations.nights.end_signals import END_SIGNALS
from coldframe.operations.nights.request import NightRequest
from coldframe.operations.nights.running import NightRun, RigNotSafeError, run_requested, until_signalled

OnEvent: TypeAlias = Callable[[Mapping[str, Any]], None]
"""A function that receives each event as a mapping: the object that ``coldframe run --json`` prints."""


@dataclass(frozen=True, slots=True)
class NightResult:
    """The result of a night.

    Attributes
    ----------
    outcome : {"complete", "incomplete", "aborted", "interrupted", "nothing-to-shoot"}
        ``"complete"`` if all planned masters were made.
    folder : pathlib.Path or None
        Folder of the night, with its report; None if there was nothing to shoot.
    masters : tuple of pathlib.Path
        The masters in this folder.
    is_safe : bool
        True if the rig is in the safe state. Check this first.
    hook_failures : tuple of str
        Messages of the hooks that failed.
    messages : tuple of str
        The lines that ``coldframe run`` prints besides the events, such as the path of the report.
    """

    outcome: Literal["complete", "incomplete", "aborted", "interrupted", "nothing-to-shoot"]
    folder: Path | None
    masters: tuple[Path, ...]
    is_safe: bool
    hook_failures: tuple[str, ...]
    messages: tuple[str, ...]


def run_night(
    config: AnyPath | None = None,
    *,
    simulate: AnyPath | None = None,
    folder: AnyPath | None = None,
    lights: AnyPath | None = None,
    until: time | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    redo: bool = False,
    watch: bool = False,
    fresh: bool = False,
    on_event: OnEvent | None = None,
) -> NightResult:
    """Run a night to its end, as ``coldframe run`` does, and leave the rig in the safe state.

    Call it from the main thread of a script: Ctrl-C, SIGTERM and SIGHUP then end the night with the rig in the safe
    state, and a second signal skips the warm-up and leaves the cooler on. In a notebook, await `run_night_async`
    instead.

    Parameters
    ----------
    config : str or path-like, optional
        Configuration file; by default, ``~/.config/coldframe/coldframe.toml``.
    simulate : str or path-like, optional
        Name or file of a simulated rig to use instead of the real rig, such as ``"small"``.
    folder : str or path-like, optional
        Folder to store nights in; by default, the configured folder.
    lights : str or path-like, optional
        Folder of lights: shoot the sets that they need, instead of the configured sets.
    until : datetime.time, optional
        Local time by which the last frame must be complete.
    only, skip : sequence of str
        Sets to shoot and to leave out, such as ``["flats:Ha"]``.
    redo : bool
        Shoot sets even if the library has recent masters for them, or an earlier run has shot their frames.
    watch : bool
        First wait until the imaging session ends; needs `lights`.
    fresh : bool
        Start a new night instead of resuming an unfinished one.
    on_event : callable, optional
        Called with each event, a mapping with the keys ``"event"`` (its kind), ``"at"`` (UTC, ISO 8601) and others. It
        must return at once, because the night waits for it. Its exceptions are logged and do not end the night.

    Returns
    -------
    NightResult
        The outcome, the state of the rig, and the masters.

    Raises
    ------
    ColdframeError
        If the night could not begin, for example because the configuration is invalid, devices are missing, or the rig
        is in use.
    RigNotSafeError
        If the rig is not in the safe state, and the night was interrupted or did not begin: the warm-up was skipped, or
        a rig that a crashed run left behind could not be made safe.
    KeyboardInterrupt
        If a signal ended the night; raised after the rig has reached the safe state.
    TypeError
        If `only` or `skip` is a string instead of a sequence of strings.
    ValueError
        If `watch` is True without `lights`, or `until` has a time zone.
    RuntimeError
        If an event loop is running in this thread, as in notebooks.

    Examples
    --------
    >>> night = coldframe.run_night(simulate="small", folder="demo-night")
    >>> night.outcome, night.is_safe
    ('complete', True)
    """
    if _is_loop_running():
        raise RuntimeError("an event loop is running, as in a notebook: use `await coldframe.run_night_async(...)`")
    request = _request(config, simulate, folder, lights, until, only=only, skip=skip, redo=redo, watch=watch)
    audience, service = _Program(on_event), ServiceWatch()
    night = run_requested(request, request.settings(), audience, service, watch=watch, fresh=fresh)
    if threading.current_thread() is threading.main_thread():
        with _signal_handlers_kept():
            run = asyncio.run(until_signalled(night, service))
    else:
        run = asyncio.run(night)
    if run.outcome is NightOutcome.INTERRUPTED:
        _require_safe(run)
        raise KeyboardInterrupt
    return _result(run, audience)


async def run_night_async(
    config: AnyPath | None = None,
    *,
    simulate: AnyPath | None = None,
    folder: AnyPath | None = None,
    lights: AnyPath | None = None,
    until: time | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    redo: bool = False,
    watch: bool = False,
    fresh: bool = False,
    on_event: OnEvent | None = None,
) -> NightResult:
    """Run a night to its end, like `run_night`, on the running event loop.

    The function handles no signals. If its task is cancelled, the night first ends with the rig in the safe state; this
    takes minutes if the sensor must warm up. Cancel the task again to skip the warm-up and leave the cooler on.
    `on_event` is called on the event loop.

    Parameters
    ----------
    config, simulate, folder, lights, until, only, skip, redo, watch, fresh, on_event
        See `run_night`.

    Returns
    -------
    NightResult
        The outcome, the state of the rig, and the masters.

    Raises
    ------
    ColdframeError
        If the night could not begin.
    RigNotSafeError
        If the rig is not in the safe state, and the task was cancelled or the night did not begin.
    asyncio.CancelledError
        If the task was cancelled; raised after the rig has reached the safe state.
    TypeError
        If `only` or `skip` is a string instead of a sequence of strings.
    ValueError
        If `watch` is True without `lights`, or `until` has a time zone.

    Examples
    --------
    >>> night = await coldframe.run_night_async(simulate="small", folder="demo-night")
    >>> night.outcome
    'complete'
    """
    request = _request(config, simulate, folder, lights, until, only=only, skip=skip, redo=redo, watch=watch)
    audience = _Program(on_event)
    run = await run_requested(request, request.settings(), audience, ServiceWatch(), watch=watch, fresh=fresh)
    task = asyncio.current_task()
    if run.outcome is NightOutcome.INTERRUPTED and task is not None and task.cancelling():
        _require_safe(run)
        raise asyncio.CancelledError
    return _result(run, audience)


@dataclass(slots=True)
class _Program:
    """The program that called the API, as the audience of a night."""

    on_event: OnEvent | None
    messages: list[str] = field(default_factory=list)

    def lines(self) -> Subscriber:
        return self._receive

    @asynccontextmanager
    async def shown(self, events: EventStream, steering: Steering) -> AsyncIterator[None]:
        del steering  # a program cancels the night instead
        events.subscribe(self._receive)
        yield

    def line(self, text: str) -> None:
        self.messages.append(text)

    def notice(self, text: str) -> None:
        self.messages.append(text)

    async def is_covered(self) -> bool:
        return True  # no user can be asked; the night publishes a warning instead

    def _receive(self, event: Event) -> None:
        if self.on_event is not None and is_journalled(event):
            self.on_event(json.loads(encode_event(event)))


def _request(
    config: AnyPath | None,
    simulate: AnyPath | None,
    folder: AnyPath | None,
    lights: AnyPath | None,
    until: time | None,
    *,
    only: Sequence[str],
    skip: Sequence[str],
    redo: bool,
    watch: bool,
) -> NightRequest:
    if watch and lights is None:
        raise ValueError("watch = True needs lights, the folder to watch")
    if until is not None and until.tzinfo is not None:
        raise ValueError(f"until = {until!r}: expected a local time of day, without a time zone")
    # Only the time of day counts; see `NightRequest.deadline`.
    moment = None if until is None else datetime.combine(datetime(1900, 1, 1, tzinfo=UTC), until)
    rig = optional_path(simulate)
    return NightRequest(
        optional_path(config),
        None if rig is None else str(rig),
        optional_path(folder),
        optional_path(lights),
        moment,
        words_of("only", only),
        words_of("skip", skip),
        redo,
    )


def _result(run: NightRun, audience: _Program) -> NightResult:
    masters = () if run.folder is None else tuple(sorted((run.folder / "masters").glob("*.fits")))
    return NightResult(
        outcome="nothing-to-shoot" if run.outcome is None else run.outcome.value,
        folder=run.folder,
        masters=masters,
        is_safe=run.is_safe,
        hook_failures=run.hook_failures,
        messages=tuple(audience.messages),
    )


def _require_safe(run: NightRun) -> None:
    if not run.is_safe:
        raise RigNotSafeError("the night was interrupted, and the rig is not safe: run `coldframe safe`")


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restore, after the block, the signal handlers that an event loop resets to the defaults."""
    before = {number: signal.getsignal(number) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
