"""`coldframe safe`: put the rig in the safe state, even if other parts of the system have failed."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

from coldframe.capture.clock import NightClock
from coldframe.capture.events.stream import EventStream
from coldframe.capture.host.rig_lock import RigInUseError, rig_locked
from coldframe.capture.monitoring.progress.line_logs import LineLog
from coldframe.capture.rig.safe_state import SafeState
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_for_safe_state
from coldframe.config.settings import Settings
from coldframe.devices.errors import DeviceError
from coldframe.devices.indi.rig import indi_rig

STUCK = (
    "If that run no longer responds, for example because its disk hangs, coldframe safe --override makes the rig safe "
    "anyway. A run that still responds may undo this."
)


def make_safe(config: Path | None, patience_s: float, *, overrides: bool = False) -> ExitCode:
    """Put the configured rig in the safe state.

    If a run is using the rig, do not touch the rig, because the run would undo the changes. A run that no longer
    responds cannot be distinguished from one that does, so the user decides.

    Parameters
    ----------
    config
        The configuration; by default, the user's configuration.
    patience_s
        Maximum total wait for lost servers and devices.
    overrides
        True to make the rig safe even if a run is using it; False to ask first, or to refuse if there is no terminal.

    Returns
    -------
    ExitCode
        NOT_SAFE if a step failed; the failures are printed.
    """
    try:
        settings = load_for_safe_state(config or find_config())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        with ExitStack() as held:
            try:
                held.enter_context(rig_locked(settings.server))
            except OSError as error:  # a broken lock must not keep a lamp lit
                print(f"it is unknown whether a run is using the rig: {error}", file=sys.stderr)
            except RigInUseError as error:
                print(f"{error}. {STUCK}", file=sys.stderr)
                if not (overrides or _is_confirmed()):
                    return ExitCode.BAD_INPUT
            return asyncio.run(reach_safe_state(settings, patience_s))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except DeviceError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT


def _is_confirmed() -> bool:
    """Ask whether to make the rig safe although a run is using it. Return False if there is no terminal."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("Make the rig safe anyway? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def reach_safe_state(settings: Settings, patience_s: float) -> ExitCode:
    """Connect to the rig, make it safe, and return the exit code."""
    clock = NightClock()
    events = EventStream()
    events.subscribe(LineLog(sys.stderr))
    async with indi_rig(settings, clock.now) as rig:
        failures = await SafeState(settings, rig, events, clock, patience_s=patience_s).reach()
    if failures:
        print("the rig is NOT in the safe state: see above", file=sys.stderr)
        return ExitCode.NOT_SAFE
    print("the rig is in the safe state")
    return ExitCode.DONE
