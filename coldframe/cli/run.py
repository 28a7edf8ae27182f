"""`coldframe run`: run a night, show it on the screen, and end it with the rig in the safe state after a signal."""

import asyncio
import sys

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.host.allocator import share_one_heap
from coldframe.capture.host.rig_lock import RigInUseError
from coldframe.capture.host.systemd import ServiceWatch
from coldframe.capture.monitoring.notifications.sending import NotifySetupError
from coldframe.capture.planning.preflight import UnfitPlanError
from coldframe.capture.planning.read_lights import NoLightsError
from coldframe.capture.planning.set_choice import ChoiceError
from coldframe.capture.session.hooks import HookFailedError
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.screen import Screen
from coldframe.config.loading import ConfigError
from coldframe.config.simulated_rig import RigFileError
from coldframe.devices.errors import DeviceError
from coldframe.devices.mqtt.client import BrokerSetupError
from coldframe.errors import MissingPackageError
from coldframe.operations.nights.request import NightRequest
from coldframe.operations.nights.running import (
    NightRun,
    NotCoveredError,
    RigNotSafeError,
    run_requested,
    until_signalled,
)

EXIT_CODES = {
    NightOutcome.COMPLETE: ExitCode.DONE,
    NightOutcome.INCOMPLETE: ExitCode.INCOMPLETE,
    NightOutcome.ABORTED: ExitCode.ABORTED,
    NightOutcome.INTERRUPTED: ExitCode.INTERRUPTED,
}


BAD_INPUT = (
    ConfigError,
    RigFileError,
    NoLightsError,
    HookFailedError,
    DeviceError,
    UnfitPlanError,
    RigInUseError,
    NotDurableError,
    BrokerSetupError,
    NotifySetupError,
    ChoiceError,
    NotCoveredError,
    MissingPackageError,
)


def run_night(request: NightRequest, *, watch: bool, fresh: bool, wants_dashboard: bool, wants_json: bool) -> ExitCode:
    """Run a night to its end. No device moves before the first step; after that, every exit leaves the rig safe.

    Parameters
    ----------
    request
        The night that the user requested.
    watch
        True to wait for the end of the imaging session first; ignored unless the night is planned from lights.
    fresh
        True to start a new night even if an unfinished night could be resumed.
    wants_dashboard, wants_json
        See `Screen`.
    """
    share_one_heap()
    screen = Screen(wants_dashboard=wants_dashboard, wants_json=wants_json, may_ask=not watch and not wants_json)
    try:
        service = ServiceWatch()
        night = run_requested(request, request.settings(), screen, service, watch=watch, fresh=fresh)
        return exit_code_of(asyncio.run(until_signalled(night, service)))
    except RigNotSafeError as error:
        if error.__context__ is not None:
            screen.notice(str(error.__context__))
        screen.notice(str(error))
        return ExitCode.NOT_SAFE
    except BAD_INPUT as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or 'coldframe'}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except (KeyboardInterrupt, asyncio.CancelledError):
        return ExitCode.INTERRUPTED


def exit_code_of(run: NightRun) -> ExitCode:
    """Return the exit code of a run; NOT_SAFE takes precedence over every other code."""
    if not run.is_safe:
        return ExitCode.NOT_SAFE
    code = ExitCode.DONE if run.outcome is None else EXIT_CODES[run.outcome]
    return ExitCode.INCOMPLETE if run.hook_failures and code is ExitCode.DONE else code
