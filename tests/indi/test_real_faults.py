"""Nights produce all masters although real processes are killed, stopped and restarted in each phase."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.stacking.accumulator import pixel_digest
from tests.indi.servers import (
    NIGHT,
    NIGHT_DEADLINE_S,
    OUR_DRIVER,
    STOCK_DRIVERS,
    Indiserver,
    Run,
    indiserver,
    started_night,
)
from tests.patience import block_until

pytestmark = pytest.mark.indi

INTO_PHASE_S = 0.4
SHORT_STOP_S, LONG_STOP_S = 4.0, 25.0
"""One stop that is shorter than the readout deadline, and one that exceeds all deadlines of camera and link."""

SETS = """
[[sets]]
kind = "bias"
count = 5
[[sets]]
kind = "dark"
count = 3
exposure_s = 1.5
[[sets]]
kind = "flat"
filter = "{filter}"
count = 4
[[sets]]
kind = "dark-flat"
filter = "{filter}"
count = 4
"""


@dataclass(frozen=True)
class Bench:
    """The drivers of a server, and the names of its devices."""

    drivers: tuple[str, ...]
    night: str
    sets: str
    camera_driver: str
    panel: str
    camera: str


# The cooler is off at first, and the ramp of the setpoint takes some seconds on either rig.
STOCK = Bench(
    STOCK_DRIVERS,
    NIGHT.replace("ramp_c_per_min = 1000.0", "ramp_c_per_min = 40.0").replace(
        "readout_deadline_s = 60.0", "readout_deadline_s = 8.0"
    ),
    SETS.format(filter="Blue"),
    "indi_simulator_ccd",
    "Light Panel Simulator",
    "CCD Simulator",
)
OURS = Bench(
    (OUR_DRIVER,),
    STOCK.night.replace("CCD Simulator", "Coldframe Camera")
    .replace("Light Panel Simulator", "Coldframe Flat Panel")
    .replace("Filter Simulator", "Coldframe Filter Wheel"),
    SETS.format(filter="L"),
    "indi_coldframe_rig",
    "Coldframe Flat Panel",
    "Coldframe Camera",
)
BENCHES = {"stock": STOCK, "ours": OURS}
PHASES = ("cool", "bias", "tune", "dark flat", "flat", "dark ")


class Stage:
    """A running night and its server, whose processes can be killed and stopped."""

    def __init__(self, bench: Bench, place: Path, resources: ExitStack) -> None:
        self.bench, self._place, self._resources = bench, place, resources
        self.server = self._start(0)
        self.run: Run | None = None

    def _start(self, port: int) -> Indiserver:
        home = self._place / "home"
        return self._resources.enter_context(indiserver(home, self.bench.drivers, port, COLDFRAME_RIG="small"))

    def begin(self) -> Run:
        if self.bench is STOCK:
            self.server.see_everything()
        self.run = self._resources.enter_context(
            started_night(self.server, self._place, self.bench.sets, local=True, night=self.bench.night)
        )
        return self.run

    def restart_server(self) -> None:
        with self.night_stopped():
            self.server = self._start(self.server.port)
            self.see_again()

    @contextmanager
    def night_stopped(self) -> Iterator[None]:
        """Stop the process of the night for the block: it must not expose before a new driver has its telescope."""
        assert self.run is not None
        self.run.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.run.process.send_signal(signal.SIGCONT)

    def see_again(self) -> None:
        """Give the stock camera its telescope again, which a restarted driver does not have."""
        if self.bench is STOCK:
            block_until(self._sees_everything)

    def _sees_everything(self) -> bool:
        with suppress(subprocess.SubprocessError):
            self.server.see_everything()
            return True
        return False

    def signal_driver(self, number: signal.Signals, program: str | None = None) -> None:
        os.kill(self.server.driver(program or self.bench.camera_driver), number)

    def link(self) -> int:
        """Return the process ID of the night's link to the server."""
        assert self.run is not None
        found = subprocess.run(
            ["pgrep", "-P", str(self.run.process.pid), "-f", "devices.indi.child"], check=True, capture_output=True
        )
        return int(found.stdout.split()[0])


def camera_killed(stage: Stage) -> None:
    with stage.night_stopped():
        stage.signal_driver(signal.SIGKILL)
        stage.see_again()


def panel_killed(stage: Stage) -> None:
    stage.signal_driver(signal.SIGKILL, "indi_simulator_lightpanel" if stage.bench is STOCK else None)


def wheel_killed(stage: Stage) -> None:
    stage.signal_driver(signal.SIGKILL, "indi_simulator_wheel" if stage.bench is STOCK else None)


def driver_stopped(stage: Stage, stopped_s: float) -> None:
    stage.signal_driver(signal.SIGSTOP)
    time.sleep(stopped_s)
    stage.signal_driver(signal.SIGCONT)


def driver_stopped_shortly(stage: Stage) -> None:
    driver_stopped(stage, SHORT_STOP_S)


def driver_stopped_for_long(stage: Stage) -> None:
    driver_stopped(stage, LONG_STOP_S)


def server_stopped(stage: Stage, stopped_s: float) -> None:
    stage.server.process.send_signal(signal.SIGSTOP)
    time.sleep(stopped_s)
    stage.server.process.send_signal(signal.SIGCONT)


def server_stopped_shortly(stage: Stage) -> None:
    server_stopped(stage, SHORT_STOP_S)


def server_stopped_for_long(stage: Stage) -> None:
    server_stopped(stage, LONG_STOP_S + 10)


def server_killed_and_started_again(stage: Stage) -> None:
    os.killpg(stage.server.process.pid, signal.SIGKILL)
    stage.server.process.wait()
    time.sleep(3)
    stage.restart_server()


def link_killed(stage: Stage) -> None:
    os.kill(stage.link(), signal.SIGKILL)


FAULTS: dict[str, Callable[[Stage], None]] = {
    each.__name__: each
    for each in (
        camera_killed,
        panel_killed,
        wheel_killed,
        driver_stopped_shortly,
        driver_stopped_for_long,
        server_stopped_shortly,
        server_stopped_for_long,
        server_killed_and_started_again,
        link_killed,
    )
}


def journalled(run: Run) -> list[dict[str, Any]]:
    """Return the events in the journal so far."""
    lines = [
        line for path in run.folder.glob("20*/journal.jsonl") for line in path.read_text().splitlines(keepends=True)
    ]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_for_phase(run: Run, phase: str) -> None:
    """Wait until a step has started whose title begins with `phase`."""

    def has_begun() -> bool:
        events = journalled(run)
        titles = {step["number"]: step["title"] for event in events for step in event.get("steps", ())}
        return any(titles[event["step"]].startswith(phase) for event in events if event["event"] == "step-started")

    block_until(lambda: run.process.poll() is not None or has_begun(), NIGHT_DEADLINE_S)
    assert run.process.poll() is None, run.wait()


@dataclass(frozen=True)
class Outcome:
    """Result of a night with a fault; `repeats` is set if a restarted driver repeats its noise."""

    code: int
    said: str
    run: Run
    lit: str
    exposing: str
    repeats: bool


def night_with(bench: Bench, fault: Callable[[Stage], None], phase: str, place: Path) -> Outcome:
    with ExitStack() as resources:
        stage = Stage(bench, place, resources)
        run = stage.begin()
        wait_for_phase(run, phase)
        time.sleep(INTO_PHASE_S)
        fault(stage)
        code, said = run.wait()
        lit = stage.server.get(f"{bench.panel}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON")
        return Outcome(code, said, run, lit, stage.server.state(f"{bench.camera}.CCD_EXPOSURE"), bench is STOCK)


def raw(run: Run, folder: str) -> list[Path]:
    return sorted((run.night / folder).rglob("*.fits"))


def assert_nothing_is_wrong(outcome: Outcome) -> None:
    """Check the files: counts, no frame twice, settings and filter of each set. Check that the rig is dark."""
    assert outcome.code == 0, outcome.said
    run = outcome.run
    frames = {folder: raw(run, folder) for folder in ("biases", "darks", "dark-flats", "flats")}
    assert [len(paths) for paths in frames.values()] == [5, 3, 4, 4], outcome.said
    starts = [fits.getheader(path)["DATE-OBS"] for paths in frames.values() for path in paths]
    assert len(set(starts)) == len(starts)
    if not outcome.repeats:
        digests = [pixel_digest(read_pixels(path)) for paths in frames.values() for path in paths]
        assert len(set(digests)) == len(digests)
    for paths in frames.values():
        headers = [fits.getheader(path) for path in paths]
        assert {(header["GAIN"], header["OFFSET"]) for header in headers} == {(0, 100)}
        assert len({(header["EXPTIME"], header.get("FILTER")) for header in headers}) == 1
        levels = [float(read_pixels(path).mean()) for path in paths]
        assert max(levels) - min(levels) < 0.05 * max(levels) + 5
    assert len(list((run.night / "masters").glob("*.fits"))) == 4
    assert outcome.lit == "Off"
    assert outcome.exposing != "Busy"


QUICK = [
    ("stock", "camera_killed", "cool"),
    ("stock", "panel_killed", "flat"),
    ("stock", "server_killed_and_started_again", "dark flat"),
    ("ours", "driver_stopped_shortly", "dark "),
]


@pytest.fixture(scope="module")
def quick_nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str, str], Future[Outcome]]]:
    """Run the nights at the same time, because they mostly wait."""
    with ThreadPoolExecutor(len(QUICK)) as pool:
        yield {
            case: pool.submit(night_with, BENCHES[case[0]], FAULTS[case[1]], case[2], tmp_path_factory.mktemp("night"))
            for case in QUICK
        }


@pytest.mark.parametrize("case", QUICK, ids="-".join)
def test_a_night_survives(
    quick_nights: dict[tuple[str, str, str], Future[Outcome]], case: tuple[str, str, str]
) -> None:
    assert_nothing_is_wrong(quick_nights[case].result())


@pytest.mark.deep
@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_night_survives_in_each_phase(tmp_path: Path, bench: str, fault: str) -> None:
    with ThreadPoolExecutor(len(PHASES)) as pool:
        places = [tmp_path / phase.strip().replace(" ", "-") for phase in PHASES]
        nights = [
            pool.submit(night_with, BENCHES[bench], FAULTS[fault], *each) for each in zip(PHASES, places, strict=True)
        ]
        for night in nights:
            assert_nothing_is_wrong(night.result())
