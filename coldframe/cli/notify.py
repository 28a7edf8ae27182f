"""`coldframe notify`: a message to the user's phone, by hand or as the alarm of a service."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from coldframe.capture.events.kinds import Severity
from coldframe.capture.monitoring.notifications.sending import NotifySetupError, apprise_sender
from coldframe.capture.monitoring.notifications.wording import Notification
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_for_messages

REPORTED_BY_RUN = (ExitCode.INCOMPLETE, ExitCode.ABORTED)
"""A run with one of these exit codes has sent a notification itself; after bad input there was no night to report."""


def send_text(config: Path | None, text: str, severity: Severity = Severity.INFO) -> ExitCode:
    """Send a message; return exit code 1 if an address refused it."""
    path = config or find_config()
    try:
        settings = load_for_messages(path)
        if settings.notify is None:
            print(f"{path}: no table [notify] with addresses; see docs/notifications.md", file=sys.stderr)
            return ExitCode.BAD_INPUT
        send = apprise_sender(settings.notify)
    except (ConfigError, NotifySetupError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    rig = (settings.mqtt.rig if settings.mqtt else None) or settings.camera.device
    subject = "alarm" if severity is Severity.ERROR else "message"
    try:
        is_sent = send(Notification(f"{rig}: {subject}", text, severity))
    except Exception as error:  # noqa: BLE001  # the boundary: a plugin of Apprise may raise anything
        print(f"message not sent: {type(error).__name__}", file=sys.stderr)
        return ExitCode.INCOMPLETE
    if not is_sent:
        print("message refused by an address", file=sys.stderr)
        return ExitCode.INCOMPLETE
    return ExitCode.DONE


def send_alarm(config: Path | None, text: str) -> ExitCode:
    """Send how a service ended, unless its run has reported that itself."""
    ending = how_it_ended(os.environ)
    if ending is None:
        print("no alarm: the run has reported its end itself", file=sys.stderr)
        return ExitCode.DONE
    return send_text(config, f"{text}: {ending}", Severity.ERROR)


def how_it_ended(environment: Mapping[str, str]) -> str | None:
    """Describe how a service ended, from the variables of an OnFailure unit (systemd.exec(5), MONITOR_SERVICE_RESULT).

    Returns
    -------
    str or None
        None if the run ended by itself and has reported it.
    """
    result = environment.get("MONITOR_SERVICE_RESULT", "")
    code, status = environment.get("MONITOR_EXIT_CODE", ""), environment.get("MONITOR_EXIT_STATUS", "")
    if not result:
        return "ended unexpectedly"
    if result == "watchdog":
        return "hung, and was killed by the watchdog"
    if code in {"killed", "dumped"}:
        return f"ended unexpectedly by signal {status}"
    if code == "exited" and status in {str(int(code)) for code in REPORTED_BY_RUN}:
        return None
    if code == "exited" and status in {str(int(ExitCode.DONE)), str(int(ExitCode.INTERRUPTED))}:
        return "ended, but the rig may not be in the safe state"
    return f"ended with {result}, exit code {status or 'unknown'}"
