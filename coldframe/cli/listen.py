"""`coldframe listen`: wait for the command `run` over MQTT, and start a night in a separate process."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from coldframe.capture.host.rig_lock import RigInUseError, listening_locked, rig_holder, rig_in_use
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.telemetry.listener import Listener
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_settings
from coldframe.config.tables.rig import ServerSettings
from coldframe.devices.mqtt.client import BrokerSetupError, read_access
from coldframe.operations.nights.end_signals import on_end_signals
from coldframe.operations.nights.remote_subscribers import UNENCRYPTED_BROKER, is_unencrypted

# -P: import nothing from the current folder.
COLDFRAME = (sys.executable, "-P", "-m", "coldframe")
SAFE_PATIENCE_S = 600
MOST_ERRORS_BYTES = 65_536
OF_THE_SERVICE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
"""Environment variables that systemd sets for the listener.

The process of the night does not inherit them, so that it cannot notify systemd in place of the listener.
"""

ENDINGS = {
    ExitCode.DONE: "all planned masters were made",
    ExitCode.INCOMPLETE: "something is missing; see its log",
    ExitCode.BAD_INPUT: "it could not start",
    ExitCode.ABORTED: "it was aborted, and the rig is safe; see its log",
    ExitCode.NOT_SAFE: "the rig is not in the safe state; see its log, and check the rig by hand",
    ExitCode.INTERRUPTED: "it was interrupted, and the rig is safe",
}


def listen(config: Path | None) -> ExitCode:
    """Listen on the configured broker and start a night for each valid request until a signal arrives.

    On SIGINT, SIGTERM or SIGHUP, first end any night that the listener started, and leave the rig in the safe state.
    """
    path = (config or find_config()).absolute()
    try:
        settings = load_settings(path)
        mqtt = settings.mqtt
        if mqtt is None or not mqtt.commands:
            print(f"{path}: commands over MQTT need commands = true in [mqtt]: coldframe explain mqtt", file=sys.stderr)
            return ExitCode.BAD_INPUT
        reached = read_access(mqtt)
        if is_unencrypted(mqtt):
            print(UNENCRYPTED_BROKER.format(mqtt.host), file=sys.stderr)
        nights = NightProcesses(path, settings.server)
        listener = Listener(mqtt, reached, mqtt.rig or settings.camera.device, nights, _say)
        with listening_locked(settings.server):
            asyncio.run(_until_signalled(listener))
    except (ConfigError, BrokerSetupError, RigInUseError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


async def _until_signalled(listener: Listener) -> None:
    on_end_signals(listener.stop)
    await listener.run()


def _say(line: str) -> None:
    print(line, flush=True)


class NightProcesses:
    """Processes that run `coldframe run` with one configuration."""

    def __init__(self, config: Path, server: ServerSettings) -> None:
        self._config = config
        self._server = server

    def rig_user(self) -> str | None:
        """Return a sentence that names the process that is using the rig; None if the rig is free."""
        return rig_in_use(self._server)

    def start(self) -> "NightProcess":
        """Start a night.

        Raises
        ------
        OSError
            If no process could be started.
        """
        return NightProcess(self._config, self._server)


class NightProcess:
    """A `coldframe run` process. No pipe connects it to the listener, so it continues if the listener dies.

    Raises
    ------
    OSError
        If the process could not be started.
    """

    def __init__(self, config: Path, server: ServerSettings) -> None:
        self._config = config
        self._server = server
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `clean_up`
        try:
            self._process = _started("run", "--no-dashboard", "--config", str(config), stderr=self._errors.fileno())
        except OSError:
            self._errors.close()
            raise

    @property
    def is_over(self) -> bool:
        """True once the process has ended."""
        return self._process.poll() is not None

    @property
    def holds_rig(self) -> bool:
        """True if this process is recorded as the user of the rig."""
        holder = rig_holder(self._server)
        return holder is not None and holder.process == self._process.pid

    @property
    def ending(self) -> str:
        """The first line of the night's errors, or the meaning of its exit code."""
        lines = (printable(line).strip() for line in self._printed_errors().splitlines())
        return next(filter(None, lines), self._exit)

    @property
    def _exit(self) -> str:
        code = self._process.returncode
        if code < 0:
            return f"it was killed by signal {-code}"
        return ENDINGS.get(ExitCode(code), "") if code in set(ExitCode) else f"its exit code is {code}"

    def _printed_errors(self) -> str:
        # pread leaves the file position unchanged; the night continues to write there.
        return os.pread(self._errors.fileno(), MOST_ERRORS_BYTES, 0).decode(errors="replace")

    def terminate(self) -> None:
        """End the night and leave the rig in the safe state. A second call skips the warm-up."""
        self._process.terminate()

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await asyncio.to_thread(self._process.wait)

    async def clean_up(self) -> None:
        """Print the night's errors, and make the rig safe if the process died while it was using the rig."""
        sys.stderr.write(self._printed_errors())
        sys.stderr.flush()
        self._errors.close()
        if not self.holds_rig:
            return
        _say("the night died while it was using the rig; making the rig safe")
        try:
            safe = _started("safe", "--patience", str(SAFE_PATIENCE_S), "--config", str(self._config), stderr=None)
        except OSError as error:
            _say(f"coldframe safe could not be started: {error.strerror or error}. Check the rig by hand")
            return
        await asyncio.to_thread(safe.wait)


def _started(*arguments: str, stderr: int | None) -> "subprocess.Popen[bytes]":
    """Start coldframe in its own session, so that Ctrl-C reaches only the listener, which forwards it once."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_THE_SERVICE}
    return subprocess.Popen(
        [*COLDFRAME, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=stderr,
        env=environment,
        start_new_session=True,
    )
