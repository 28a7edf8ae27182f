"""`coldframe notify`: a message to your phone, by hand or as the alarm of a service."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from coldframe.capture.events.kinds import Severity
from coldframe.capture.monitoring.notifications.sending import NotifySetupError, apprise_sender
from coldframe.capture.monitoring.notifications.wording import Word
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_for_messages

TOLD_BY_ITSELF = (ExitCode.INCOMPLETE, ExitCode.ABORTED)
"""A run with these exit codes has sent how the night ended; bad input ends one before there is a night."""


def send_text(config: Path | None, text: str, severity: Severity = Severity.INFO) -> ExitCode:
    """Send a message; 1 where an address did not take it."""
    path = config or find_config()
    try:
        settings = load_for_messages(path)
        if settings.notify is None:
            print(
                f"{path}: has no table [notify], which tells where messages go; docs/notifications.md", file=sys.stderr
            )
            return ExitCode.BAD_INPUT
        send = apprise_sender(settings.notify)
    except (ConfigError, NotifySetupError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    rig = (settings.mqtt.rig if settings.mqtt else None) or settings.camera.device
    what = "alarm" if severity is Severity.ERROR else "message"
    try:
        is_sent = send(Word(f"{rig}: {what}", text, severity))
    except Exception as error:  # noqa: BLE001  # the boundary: other people's code for a hundred services
        print(f"the message was not sent: {type(error).__name__}", file=sys.stderr)
        return ExitCode.INCOMPLETE
    if not is_sent:
        print("the message was not taken by every address", file=sys.stderr)
        return ExitCode.INCOMPLETE
    return ExitCode.DONE


def send_alarm(config: Path | None, text: str) -> ExitCode:
    """Send how a service ended, unless its run has told so by itself."""
    ending = how_it_ended(os.environ)
    if ending is None:
        print("no alarm: the run told of its end by itself", file=sys.stderr)
        return ExitCode.DONE
    return send_text(config, f"{text}: {ending}", Severity.ERROR)


def how_it_ended(environment: Mapping[str, str]) -> str | None:
    """Say how a service ended, from what systemd tells units of OnFailure (systemd.exec(5), MONITOR_SERVICE_RESULT).

    Returns
    -------
    str or None
        None where the run ended by itself and has told of it.
    """
    result = environment.get("MONITOR_SERVICE_RESULT", "")
    code, status = environment.get("MONITOR_EXIT_CODE", ""), environment.get("MONITOR_EXIT_STATUS", "")
    if not result:
        return "ended without its last word"
    if result == "watchdog":
        return "hung, and was ended by the watchdog"
    if code in {"killed", "dumped"}:
        return f"ended by signal {status}, without its last word"
    if code == "exited" and status in {str(int(told)) for told in TOLD_BY_ITSELF}:
        return None
    if code == "exited" and status in {str(int(ExitCode.DONE)), str(int(ExitCode.INTERRUPTED))}:
        return "over, but the rig may not be in the safe state"
    return f"ended with {result}, exit code {status or 'unknown'}"
