"""`coldframe notify`: send a message to the user's phone, by hand or as an alarm from a service that has failed."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.notifications.sending import NotifySetupError, apprise_sender
from coldframe.capture.monitoring.notifications.wording import Notification
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_for_messages

REPORTED_BY_RUN = (ExitCode.INCOMPLETE, ExitCode.ABORTED)
"""Exit codes of runs that have themselves reported the end of their night.

BAD_INPUT is not among them, because such a run has no night on which to report.
"""


def send_text(config: Path | None, text: str, severity: Severity = Severity.INFO) -> ExitCode:
    """Send a message; return exit code 1 if an address did not accept it."""
    path = config or find_config()
    try:
        settings = load_for_messages(path)
        if settings.notify is None:
            print(
                f"{path} has no [notify] table with addresses for messages: see coldframe explain notify",
                file=sys.stderr,
            )
            return ExitCode.BAD_INPUT
        send = apprise_sender(settings.notify)
    except (ConfigError, NotifySetupError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    rig = (settings.mqtt.rig if settings.mqtt else None) or settings.camera.device
    subject = "alarm" if severity is Severity.ERROR else "message"
    try:
        is_sent = send(Notification(f"{rig}: {subject}", text, severity))
    except Exception as error:  # noqa: BLE001  # the boundary: Apprise's plug-ins for a hundred services
        print(f"the message was not sent: {type(error).__name__}", file=sys.stderr)
        return ExitCode.INCOMPLETE
    if not is_sent:
        print("not every address accepted the message", file=sys.stderr)
        return ExitCode.INCOMPLETE
    return ExitCode.DONE


def send_alarm(config: Path | None, text: str) -> ExitCode:
    """Send a message that describes how a service ended; send nothing if the run has already reported its end."""
    ending = how_it_ended(os.environ)
    if ending is None:
        print("no alarm was sent, because the run has already reported its end", file=sys.stderr)
        return ExitCode.DONE
    return send_text(config, f"{text}: {ending}", Severity.ERROR)


def how_it_ended(environment: Mapping[str, str]) -> str | None:
    """Return a description of how a service ended, based on the variables that systemd sets for units in OnFailure.

    The variables are MONITOR_SERVICE_RESULT, MONITOR_EXIT_CODE and MONITOR_EXIT_STATUS; see systemd.exec(5).

    Returns
    -------
    str or None
        Description of the end; None if the run has already reported its end.
    """
    result = environment.get("MONITOR_SERVICE_RESULT", "")
    code, status = environment.get("MONITOR_EXIT_CODE", ""), environment.get("MONITOR_EXIT_STATUS", "")
    if not result:
        return "ended without a final message"
    if result == "watchdog":
        return "hung, and was killed by the watchdog"
    if code in {"killed", "dumped"}:
        return f"killed by signal {status}, without a final message"
    if code == "exited" and status in {str(int(each)) for each in REPORTED_BY_RUN}:
        return None
    if code == "exited" and status in {str(int(ExitCode.DONE)), str(int(ExitCode.INTERRUPTED))}:
        return "ended, but the rig may not be in the safe state"
    return f"ended with {result}, exit code {status or 'unknown'}"
