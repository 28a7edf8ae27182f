"""Replay drawn nights: ``python -m tests.nights.replay 1234``, or ``0-299`` for a table of many nights.

For a single seed, the command prints all events. The night's files stay in the folder given by ``--keep``.
"""

import argparse
import gc
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from coldframe.capture.events.kinds import CoolingProgress, MasterGrew, PanelChanged, TemperatureRead
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.stream import EventStream
from coldframe.capture.storage.journal import encode_event
from tests.nights.oracle import judge
from tests.nights.random_nights import HANDS, KINDS, TroubledRun, draw, run

COMMAND = "python -m tests.nights.replay {}"
ASIDE = (CoolingProgress, FrameShown, MasterGrew, PanelChanged, TemperatureRead)


@dataclass(frozen=True)
class Report:
    """Result of one night, without its files.

    Attributes
    ----------
    wrong
        Violations; empty after a good night.
    met, limits
        Number of times that each kind of fault took effect, and the documented limits that were met.
    """

    seed: int
    title: str
    outcome: str
    wrong: tuple[str, ...]
    met: dict[str, int]
    limits: tuple[str, ...] = ()
    seconds: float = 0.0

    def __str__(self) -> str:
        return "\n    ".join([self.title, *self.wrong, f"replay: {COMMAND.format(self.seed)}"])


@dataclass
class Tally:
    """Results of many nights."""

    nights: int = 0
    processes: int = 1
    elapsed_s: float = 0.0
    failed: list[Report] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    nights_met: Counter[str] = field(default_factory=Counter)
    times_met: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)

    def add(self, report: Report) -> None:
        self.nights += 1
        self.outcomes[report.outcome] += 1
        self.drawn.update(draw(report.seed).kinds)
        self.nights_met.update(report.met.keys())
        self.times_met.update(report.met)
        self.limits.update(report.limits)
        if report.wrong:
            self.failed.append(report)

    def table(self) -> str:
        """Return a table of the kinds of faults that took effect, and the speed."""
        pace = f"{self.nights / max(self.elapsed_s, 1e-9):.1f} nights a second in {self.processes} processes"
        lines = [f"{self.nights} nights, {len(self.failed)} failed, {pace}"]
        lines.append(", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items())))
        lines.append(f"{'fault':22}{'rows of the matrix':20}{'drawn':>8}{'nights':>8}{'times':>8}")
        for kind, rows in KINDS.items():
            told = ", ".join(map(str, rows))
            counts = (self.drawn[kind], self.nights_met[kind], self.times_met[kind])
            lines.append(f"{kind:22}{told:20}" + "".join(f"{count:8}" for count in counts))
        lines += [f"let pass, as documented: {limit} in {count} nights" for limit, count in self.limits.most_common()]
        return "\n".join(lines)


def play(seed: int, keep: Path | None = None, prepare: Callable[[EventStream], None] = lambda _: None) -> Report:
    """Play a night and judge it. An exception is also a violation. `prepare` may subscribe to its events."""
    night, began_s = draw(seed), time.perf_counter()
    try:
        with run(night, keep, prepare) as after:
            verdict = judge(after)
            outcome = str(after.outcome)
            return Report(
                seed,
                str(night),
                outcome,
                tuple(verdict.wrong),
                after.met(),
                tuple(verdict.limits),
                time.perf_counter() - began_s,
            )
    except Exception:  # noqa: BLE001  # the report must name the seed
        return Report(seed, str(night), "error", (traceback.format_exc(limit=-8),), {})


def play_all(seeds: Iterable[int], processes: int | None = None) -> Tally:
    """Play many nights, several at a time, and print each failure when it occurs."""
    wanted = list(seeds)
    processes = min(processes or len(os.sched_getaffinity(0)), max(len(wanted) // len(HANDS), 1))
    tally, began_s = Tally(processes=processes), time.perf_counter()
    # Each block is run by one process, which caches the values that it has learned about rigs.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_prepare) as pool:
        for report in pool.map(play, wanted, chunksize=len(HANDS)):
            tally.add(report)
            if report.wrong:
                print(report, flush=True)
    tally.elapsed_s = time.perf_counter() - began_s
    return tally


def _prepare() -> None:
    logging.disable()
    # Nights collect garbage after each set. After one night, all modules are loaded, and collections may omit them.
    play(0)
    gc.collect()
    gc.freeze()


def _story(after: TroubledRun) -> Iterator[str]:
    yield str(after.night)
    for event in after.events:
        if not isinstance(event, ASIDE):
            yield encode_event(event)
    yield f"{after.outcome}; met: {after.met()}"


def _tell(seed: int, keep: Path | None) -> int:
    with run(draw(seed), keep) as after:
        print("\n".join(_story(after)))
        verdict = judge(after)
    for limit in verdict.limits:
        print(f"let pass, as documented: {limit}")
    print("\n".join(verdict.wrong) or "all holds")
    return bool(verdict.wrong)


def main() -> int:
    """Play the seeds given on the command line. Return 1 if a night fails."""
    parser = argparse.ArgumentParser(prog=COMMAND.format("").strip(), description=__doc__)
    parser.add_argument("seeds", help="one seed, or two joined by a hyphen")
    parser.add_argument("--keep", type=Path, help="folder in which the files of one seed stay")
    options = parser.parse_args()
    first, _, last = str(options.seeds).partition("-")
    if not last:
        if options.keep is not None:
            options.keep.mkdir(parents=True)
        return _tell(int(first), options.keep)
    tally = play_all(range(int(first), int(last) + 1))
    print(tally.table())
    return bool(tally.failed)


if __name__ == "__main__":
    sys.exit(main())
