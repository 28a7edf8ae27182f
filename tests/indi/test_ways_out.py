"""The rig is safe however a night of real processes ends. The server reports the panel light and the cooler."""

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from coldframe.calibration.files.frame_file import read_frame
from tests.indi.servers import (
    CAMERA,
    HEARING_HANG_UPS,
    LONG_S,
    NIGHT,
    PANEL,
    SCRIPTS,
    STOCK_DRIVERS,
    Indiserver,
    coldframe,
    dark_set,
    ended_at_last,
    indiserver,
    started_night,
    wait_until_exposing,
)
from tests.patience import PATIENCE_S, block_until

pytestmark = pytest.mark.indi

AT_ONCE = 4
WARM = NIGHT.replace('at_end = "off"', 'at_end = "warm"\nwarm_to_c = 20.0\nwarm_ramp_c_per_min = 0.25')

Ending = Callable[[Path], None]


def light_up(server: Indiserver) -> None:
    """Switch the panel light on without the night: if it is off afterwards, the safe state has switched it off."""
    server.set(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On")


def assert_safe(server: Indiserver, *, cooler_on: bool = False) -> None:
    assert server.state(f"{CAMERA}.CCD_EXPOSURE") != "Busy"
    assert server.get(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_OFF") == "On"
    assert (server.get(f"{CAMERA}.CCD_COOLER.COOLER_ON") == "On") is cooler_on


def by_signal(number: signal.Signals) -> Ending:
    def ending(place: Path) -> None:
        with indiserver(place / "home") as server, started_night(server, place, dark_set(LONG_S), local=True) as run:
            wait_until_exposing(server, run.process)
            light_up(server)
            run.process.send_signal(number)
            code, said = run.wait()
            assert code == 130, said
            assert_safe(server)

    return ending


def success(place: Path) -> None:
    with indiserver(place / "home") as server, started_night(server, place, dark_set(3.0), local=True) as run:
        wait_until_exposing(server, run.process)
        light_up(server)
        code, said = run.wait()
        # The panel light of this simulator does not reach its camera.
        assert code == 0, said
        assert_safe(server)


def failure(place: Path) -> None:
    """A camera that receives no light: tuning its flats fails although the panel light is on."""
    flats = '[[sets]]\nkind = "flat"\nfilter = "Red"\ncount = 3\n[[sets]]\nkind = "bias"\ncount = 3\n'
    with indiserver(place / "home") as server, started_night(server, place, flats, local=True) as run:
        code, said = run.wait()
        assert code == 1, said
        assert "panel lit" in said
        assert_safe(server)


def twice_interrupted(place: Path) -> None:
    """The second Ctrl-C skips only the warm-up, which would take 20 minutes."""
    with (
        indiserver(place / "home") as server,
        started_night(server, place, dark_set(LONG_S), local=True, night=WARM) as run,
    ):
        wait_until_exposing(server, run.process)
        light_up(server)
        run.process.send_signal(signal.SIGINT)
        block_until(lambda: server.get(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_OFF") == "On")
        time.sleep(1)  # usually enough for the warm-up to start
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)
        code, said = run.wait()
        assert code == 4, said
        assert "cut short" in said
        assert_safe(server, cooler_on=True)


def closed_terminal(place: Path) -> None:
    """The terminal is closed: the process gets SIGHUP, and all writes to the terminal fail."""
    config = place / "coldframe.toml"
    with indiserver(place / "home") as server:
        config.write_text(
            NIGHT.format(port=server.port, unix_socket=server.unix_socket, folder=place / "out") + dark_set(LONG_S)
        )
        ours, theirs = pty.openpty()
        process: subprocess.Popen[str] = subprocess.Popen(
            [*HEARING_HANG_UPS, str(SCRIPTS / "coldframe"), "run", "--config", str(config)],
            env={**os.environ, "HOME": str(place), "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            text=True,
        )
        os.close(theirs)
        os.set_blocking(ours, False)
        with ended_at_last(process):
            wait_until_exposing_while_read(server, process, ours)
            light_up(server)
            os.close(ours)
            process.send_signal(signal.SIGHUP)
            assert process.wait(PATIENCE_S) == 130
            assert_safe(server)


def wait_until_exposing_while_read(server: Indiserver, process: subprocess.Popen[str], terminal: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while server.state(f"{CAMERA}.CCD_EXPOSURE") != "Busy":
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        with suppress(BlockingIOError):
            os.read(terminal, 1 << 20)


def killed(place: Path) -> None:
    """After a run was killed, `coldframe safe` makes the rig safe."""
    with indiserver(place / "home") as server, started_night(server, place, dark_set(LONG_S), local=True) as run:
        wait_until_exposing(server, run.process)
        light_up(server)
        run.process.kill()
        run.process.wait()
        safe = coldframe("safe", "--config", place / "coldframe.toml", home=place)
        said, _ = safe.communicate(timeout=PATIENCE_S)
        assert safe.returncode == 0, said
        assert_safe(server)


def server_comes_back(place: Path) -> None:
    """A run that is interrupted while the server is away waits for it, and then makes the rig safe."""
    with indiserver(place / "home") as server, started_night(server, place, dark_set(LONG_S), local=True) as run:
        wait_until_exposing(server, run.process)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        time.sleep(1)
        run.process.send_signal(signal.SIGTERM)
        block_until(lambda: "waiting at most" in (run.night / "journal.jsonl").read_text())
        with indiserver(place / "home", STOCK_DRIVERS, server.port) as again:
            again.set(f"{PANEL}.CONNECTION.CONNECT=On")
            light_up(again)
            code, said = run.wait()
            assert code == 130, said
            assert "waiting at most" in said
            assert "the rig is safe" in said
            assert_safe(again)


def server_stays_away(place: Path) -> None:
    """If the server stays away, the run ends with a message, and its files are complete."""
    with indiserver(place / "home") as server, started_night(server, place, dark_set(0.5, 200), local=True) as run:
        block_until(lambda: len(list(run.folder.rglob("dark_*.fits"))) >= 3)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        time.sleep(0.5)
        run.process.send_signal(signal.SIGTERM)
        code, said = run.wait()
        assert code == 4, said
        assert "Check it by hand" in said
        for path in run.night.rglob("*.fits"):
            read_frame(path) if "masters" not in path.parts else None


ENDINGS: dict[str, Ending] = {
    "interrupt": by_signal(signal.SIGINT),
    "terminate": by_signal(signal.SIGTERM),
    "hang-up": by_signal(signal.SIGHUP),
    "server-stays-away": server_stays_away,
    "failure": failure,
    "success": success,
    "interrupt-twice": twice_interrupted,
    "closed-terminal": closed_terminal,
    "kill": killed,
    "server-comes-back": server_comes_back,
}
SLOW = {"server-stays-away", "success", "interrupt", "terminate"}
"""Only in the long suites; `test_commands` covers the signals as well."""


@pytest.fixture(scope="module")
def under_way(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the selected cases, several at the same time, because they mostly wait."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in items if item.function is test_the_rig_is_safe_afterwards]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(ENDINGS[name], tmp_path_factory.mktemp(name)) for name in names}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.deep if name in SLOW else ()) for name in ENDINGS]
)
def test_the_rig_is_safe_afterwards(under_way: dict[str, Future[None]], name: str) -> None:
    under_way[name].result()
