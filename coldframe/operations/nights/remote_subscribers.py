"""The remote subscribers of a night: an MQTT broker and phones. The night waits for neither."""

import stat
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.notifications.sending import Notifier, Send, apprise_sender
from coldframe.capture.monitoring.notifications.wording import NotificationWriter
from coldframe.capture.monitoring.telemetry.known_commands import KnownCommands
from coldframe.capture.monitoring.telemetry.publisher import Telemetry
from coldframe.capture.session.steering import Steering
from coldframe.config.settings import Settings
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.config.tables.rig import LOOPBACK_HOSTS
from coldframe.devices.mqtt.client import Access, read_access

KNOWN_COMMANDS = "mqtt-commands.json"
"""Name of the file with the commands of the last few minutes, in the storage folder."""

READABLE_BY_ALL = "{} contains secrets, and other users of this machine can read it: run chmod 600 on it"

UNENCRYPTED_BROKER = (
    "the MQTT broker {} is on another machine: without TLS, anyone on the network can read the password and the "
    "telemetry. Set mqtt.tls = true"
)


def is_unencrypted(settings: MqttSettings) -> bool:
    """Return True if telemetry crosses a network unencrypted."""
    return not settings.tls and settings.host.lower() not in LOOPBACK_HOSTS


def open_secrets(settings: Settings) -> tuple[Path, ...]:
    """Return the configured files with passwords, addresses or keys that other users of this machine can read."""
    panel_broker = settings.panel.mqtt if settings.panel else None
    files = [settings.notify.urls_file] if settings.notify else []
    for broker in (settings.mqtt, panel_broker):
        if broker is not None:
            files += [broker.password_file, broker.client_key]
    return tuple(dict.fromkeys(path for path in files if path is not None and _is_open(path)))


def _is_open(path: Path) -> bool:
    with suppress(OSError):  # the code that reads the file reports the error
        return bool(path.stat().st_mode & stat.S_IROTH)
    return False


@dataclass(frozen=True, slots=True)
class RemoteSubscribers:
    """The subscribers that a configuration specifies, with their passwords, certificates and addresses."""

    settings: Settings
    access: Access | None
    send: Send | None

    @classmethod
    def prepare(cls, settings: Settings) -> "RemoteSubscribers":
        """Read passwords, certificates and addresses, so that an error in them ends the run before the night starts.

        Raises
        ------
        BrokerSetupError, NotifySetupError
            If any of them is missing or cannot be used.
        """
        return cls(
            settings,
            read_access(settings.mqtt) if settings.mqtt else None,
            apprise_sender(settings.notify) if settings.notify else None,
        )

    async def start(
        self, resources: AsyncExitStack, events: EventStream, clock: NightClock, steering: Steering | None = None
    ) -> None:
        """Subscribe to the events of a night until `resources` is closed; call this before the night's first event."""
        mqtt, notify = self.settings.mqtt, self.settings.notify
        for path in open_secrets(self.settings):
            events.publish(Notice(clock.now(), Severity.WARNING, READABLE_BY_ALL.format(path)))
        rig = (mqtt.rig if mqtt else None) or self.settings.camera.device
        if notify is not None and self.send is not None:
            notifier = Notifier(NotificationWriter(notify, rig), self.send, notify.deadline_s)
            await resources.enter_async_context(notifier.sending())
            events.subscribe(notifier)
        if mqtt is not None and self.access is not None:
            known = KnownCommands(self.settings.storage.folder / KNOWN_COMMANDS)
            telemetry = Telemetry(mqtt, self.access, rig, events=events, clock=clock, steering=steering, known=known)
            await resources.enter_async_context(telemetry.publishing())
            events.subscribe(telemetry)
            if is_unencrypted(mqtt):
                events.publish(Notice(clock.now(), Severity.WARNING, UNENCRYPTED_BROKER.format(mqtt.host)))
