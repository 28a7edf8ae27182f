"""A disk some of whose calls hang, under virtual time.

Each piece of blocking work runs in its own thread, but only one thread runs at a time: the event loop waits until the
work has ended or hangs in a call to the disk. A call that hangs is continued by a timer of the event loop. Therefore a
hang takes no real time, work stops half-way like on a real disk, and the same seed gives the same night.
"""

import os
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from coldframe.capture import threads
from tests.nights import nights
from tests.nights.nights import Inline
from tests.nights.virtual_time import VirtualTimeLoop
from tests.patience import PATIENCE_S

P = ParamSpec("P")
T = TypeVar("T")

POLL_S = 0.001
AUDITED = {
    "open": "open",
    "os.scandir": "list",
    "os.listdir": "list",
    "os.rename": "rename",
    "os.link": "link",
    "os.mkdir": "mkdir",
    "os.remove": "remove",
}
"""Calls that Python reports to audit hooks, and the names of their operations."""

PATCHED = {"write": "write", "fsync": "flush", "stat": "stat", "lstat": "stat", "statvfs": "room"}
"""Calls of `os` that it does not report, and the names of their operations."""

OPERATIONS = ("create", "open", *dict.fromkeys((*list(AUDITED.values())[1:], *PATCHED.values())), "journal")
"""Operations that can hang: "create" opens a new file, and "journal" writes a line of the journal."""


@dataclass(slots=True)
class Hang:
    """A hang of the disk.

    Attributes
    ----------
    operation, first
        One of `OPERATIONS`, and the number of its call that hangs, counted from the start of the night.
    duration_s
        Duration; infinite for a disk that never answers again.
    is_whole
        True if every other call hangs meanwhile, as on a disk without power; otherwise only this call hangs.
    began_s
        Time at which the hang began; None if it has not begun.
    """

    operation: str
    first: int
    duration_s: float
    is_whole: bool
    began_s: float | None = None

    @property
    def ends_s(self) -> float:
        return -1.0 if self.began_s is None else self.began_s + self.duration_s


class _Worker:
    """A thread that the event loop has started. `is_quiet` is set while it hangs, and when it has ended."""

    def __init__(self) -> None:
        self.is_quiet = threading.Event()
        self.gate = threading.Event()


@dataclass
class HangingDisk:
    """All files below a folder.

    Attributes
    ----------
    root, hangs
        The folder, and the hangs of its disk.
    is_watched
        True while calls are counted, hang, and must not be made in the thread of the event loop.
    calls
        Number of calls of each operation while the disk was watched.
    on_the_loop
        Calls that were made in the thread of the event loop, which such a call would block.
    """

    root: Path
    hangs: list[Hang] = field(default_factory=list)
    is_watched: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    on_the_loop: list[str] = field(default_factory=list)
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)
    _waiting_for_journal: list[_Worker] = field(default_factory=list)
    _to_wake: list[tuple[float, _Worker]] = field(default_factory=list)
    _lines: list[threading.Event] = field(default_factory=list)
    _journal: _Worker = field(default_factory=_Worker)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _is_over: bool = False
    _loop: VirtualTimeLoop | None = None

    @contextmanager
    def night(self, loop: VirtualTimeLoop) -> Iterator[None]:
        """Be the disk of a process, which ends with the block, together with the calls that hang."""
        self._loop = loop
        loop_thread = threading.get_ident()
        in_journal = SimpleNamespace(Event=lambda: self._line(loop_thread), Thread=self._journal_thread)
        try:
            with (
                self._patched(),
                patch.object(nights, "Inline", lambda: _LockStep(self)),
                patch.object(threads, "under_way", set()),
                patch("coldframe.capture.storage.journal.threading", in_journal),
                patch("coldframe.calibration.threads.pool", Inline),
                _audited(self._hear),
            ):
                yield
        finally:
            self._end_process()

    @contextmanager
    def _patched(self) -> Iterator[None]:
        real = {name: getattr(os, name) for name in PATCHED}

        def watched(name: str) -> Callable[..., Any]:
            def call(path: Any, *args: Any, **kwargs: Any) -> Any:
                self._meet(PATCHED[name], path)
                return real[name](path, *args, **kwargs)

            return call

        for name in PATCHED:
            setattr(os, name, watched(name))
        try:
            yield
        finally:
            for name, call in real.items():
                setattr(os, name, call)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        operation = AUDITED[event]
        if event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT:
            operation = "create"
        self._meet(operation, args[1] if event == "os.link" else args[0])

    def _has(self, path: Any) -> bool:
        if isinstance(path, int):
            path = _path_of(path)
        return isinstance(path, str | Path) and Path(path).is_relative_to(self.root)

    def _meet(self, operation: str, path: Any) -> None:
        """Hang in a call, if the disk hangs."""
        worker = self._workers.get(threading.get_ident())
        is_journal = threading.current_thread().name == "journal"
        if not (self.is_watched or self._is_over) or not self._has(path):
            return
        if self._is_over and (worker or is_journal):
            raise SystemExit  # ends the thread, without a report
        if worker is None and not is_journal:
            if threading.current_thread() is threading.main_thread():
                self.on_the_loop.append(f"{operation} {path}\n{''.join(traceback.format_stack(limit=-12))}")
            return
        self._strike("journal" if is_journal else operation, self._journal if worker is None else worker)

    def _strike(self, operation: str, worker: _Worker) -> None:
        now_s = self._now_s
        self.calls[operation] += 1
        struck = [each for each in self.hangs if (each.operation, each.first) == (operation, self.calls[operation])]
        for hang in struck:
            hang.began_s = now_s
        whole = [each for each in self.hangs if each.is_whole and each.began_s is not None]
        ends_s = max((each.ends_s for each in struck + whole), default=now_s)
        if ends_s > now_s:
            with self._lock:
                worker.gate.clear()
                self._to_wake.append((ends_s, worker))
                worker.is_quiet.set()
            worker.gate.wait()
            if self._is_over:
                raise SystemExit  # ends the thread, without a report

    # ---- in the thread of the event loop ----

    @property
    def _now_s(self) -> float:
        assert self._loop is not None
        return self._loop.now_s

    def start(self, future: "Future[T]", work: Callable[[], T]) -> None:
        """Run work until it ends or hangs."""
        worker = _Worker()

        def run() -> None:
            self._workers[threading.get_ident()] = worker
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # like an executor
                if not self._is_over:
                    future.set_exception(error)
            else:
                if not self._is_over:
                    future.set_result(result)
            finally:
                del self._workers[threading.get_ident()]
                worker.is_quiet.set()

        thread = threading.Thread(target=run, name="blocking work", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()
        self._settle(worker)

    def _settle(self, worker: _Worker) -> None:
        assert worker.is_quiet.wait(PATIENCE_S), "a thread neither ends nor hangs in a call to the disk"
        self._plan_to_wake()

    def _plan_to_wake(self) -> None:
        assert self._loop is not None
        while self._to_wake:
            ends_s, worker = self._to_wake.pop()
            if ends_s != float("inf"):
                self._loop.call_at(ends_s, self._wake, worker)

    def _wake(self, worker: _Worker) -> None:
        """Continue a thread whose call no longer hangs, and with it those that wait for a line of the journal."""
        with self._lock:
            resumed = [*self._waiting_for_journal] if worker is self._journal else [worker]
            for each in (worker, *resumed):
                each.is_quiet.clear()
            worker.gate.set()
        if worker is self._journal:
            while not self._journal.is_quiet.is_set() and not all(line.is_set() for line in self._lines):
                threading.Event().wait(POLL_S)
            self._plan_to_wake()
        for each in resumed:
            self._settle(each)

    def _end_process(self) -> None:
        self._is_over = True
        with self._lock:
            for worker in (*self._workers.values(), self._journal):
                worker.is_quiet.clear()
                worker.gate.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        # The kernel closes the files of a process that ends, and so releases its locks.
        for descriptor in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
            if self._has(descriptor):
                with suppress(OSError):
                    os.close(descriptor)

    # ---- the journal, whose lines are written by a thread of its own ----

    @property
    def _journal_hangs(self) -> bool:
        return self._journal.is_quiet.is_set()

    def _wait_for_journal(self, is_done: Callable[[], bool]) -> None:
        """Wait in a thread of the event loop; it counts as hanging while the journal hangs."""
        worker = self._workers[threading.get_ident()]
        self._waiting_for_journal.append(worker)
        while not is_done():
            if self._is_over:
                raise SystemExit  # ends the thread, without a report
            with self._lock:
                if self._journal_hangs:
                    worker.is_quiet.set()
            threading.Event().wait(POLL_S)
        self._waiting_for_journal.remove(worker)

    def _line(self, loop_thread: int) -> threading.Event:
        disk = self

        class Line(threading.Event):
            """An event that is set when a line is written."""

            def wait(self, timeout: float | None = None) -> bool:
                del timeout
                if threading.get_ident() != loop_thread:
                    disk._wait_for_journal(self.is_set)
                    return True
                while not self.is_set() and not disk._journal_hangs:
                    super().wait(POLL_S)
                disk._plan_to_wake()
                return self.is_set()

        line = Line()
        self._lines = [each for each in self._lines if not each.is_set()] + [line]
        return line

    def _journal_thread(self, **options: Any) -> threading.Thread:
        disk = self

        class Writer(threading.Thread):
            """The thread of the journal."""

            def run(self) -> None:
                with suppress(SystemExit):
                    super().run()

            def join(self, timeout: float | None = None) -> None:
                if threading.get_ident() in disk._workers:
                    disk._wait_for_journal(lambda: not self.is_alive())
                super().join(timeout)

        return Writer(**options)


class _LockStep(Inline):
    """An executor whose work runs until it ends or hangs."""

    def __init__(self, disk: HangingDisk) -> None:
        super().__init__()
        self._disk = disk

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._disk.start(future, lambda: work(*args, **kwargs))
        return future


def _path_of(descriptor: int) -> str | None:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return None


_hooks: list[Callable[[str, tuple[Any, ...]], None]] = []


@contextmanager
def _audited(hear: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Report calls to `hear` for the duration of the block. Python cannot remove audit hooks."""
    if not _hooks:
        sys.addaudithook(_relay)
    _hooks[:] = [hear]
    try:
        yield
    finally:
        _hooks[:] = [_ignore]


def _ignore(event: str, args: tuple[Any, ...]) -> None:
    del event, args


def _relay(event: str, args: tuple[Any, ...]) -> None:
    if event in AUDITED:
        _hooks[0](event, args)
