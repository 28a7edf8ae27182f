"""Build the retained document that describes a rig to Home Assistant as one device with all its components.

The field names are the abbreviations that Home Assistant's MQTT discovery accepts in device payloads.

This module performs no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coldframe.capture.monitoring.telemetry.documents import to_json
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics, topic_part
from coldframe.version import __version__

BIRTH = b"online"
"""The message that Home Assistant publishes on its status topic when it has started."""

COMMAND_LIFE_S = 60

_OR_ENDED = f"{{{{ 'online' if value in ['{Presence.ONLINE}', '{Presence.ENDED}'] else 'offline' }}}}"
_ONLINE = f"{{{{ 'online' if value == '{Presence.ONLINE}' else 'offline' }}}}"
_LOST = f"{{{{ 'ON' if value == '{Presence.OFFLINE}' else 'OFF' }}}}"
_BUTTONS = {
    "pause": ("Pause", "mdi:pause"),
    "resume": ("Resume", "mdi:play"),
    "skip": ("Skip step", "mdi:skip-next"),
    "abort": ("Abort", "mdi:stop"),
}
_RUN = ("Start calibration", "mdi:telescope")

Component = dict[str, object]


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """A rig, presented as a device in Home Assistant.

    Attributes
    ----------
    prefix
        Home Assistant's discovery prefix.
    rig
        Display name.
    takes_commands
        Whether the rig accepts commands. The device has buttons only if it does.
    """

    prefix: str
    rig: str
    topics: Topics
    takes_commands: bool

    @property
    def _id(self) -> str:
        return f"coldframe_{topic_part(self.rig)}"

    @property
    def topic(self) -> str:
        """Retained topic of the document. An empty message on this topic removes the device."""
        return f"{self.prefix}/device/{self._id}/config"

    @property
    def birth_topic(self) -> str:
        """Topic on which Home Assistant announces its start."""
        return f"{self.prefix}/status"

    def document(self) -> bytes:
        """Return the document that describes the device with all its components."""
        components = self._sensors() | self._binary_sensors() | self._buttons()
        document = {
            "dev": {
                "ids": [self._id],
                "name": self.rig,
                "mf": "coldframe",
                "mdl": "calibration frames",
                "sw": __version__,
            },
            "o": {"name": "coldframe", "sw": __version__},
            "cmps": components,
            "state_topic": self.topics.state,
            "availability": self._availability(_OR_ENDED),
            "qos": 0,
        }
        return to_json(document)

    def _availability(self, template: str) -> list[Mapping[str, str]]:
        return [{"topic": self.topics.status, "value_template": template}]

    def _component(self, key: str, platform: str, name: str, **more: object) -> tuple[str, Component]:
        return key, {"p": platform, "unique_id": f"{self._id}_{key}", "name": name, **more}

    def _sensor(self, key: str, name: str, template: str, **more: object) -> tuple[str, Component]:
        return self._component(key, "sensor", name, value_template=f"{{{{ {template} }}}}", **more)

    def _sensors(self) -> dict[str, Component]:
        celsius = {"device_class": "temperature", "unit_of_measurement": "°C", "state_class": "measurement"}
        percent = {"unit_of_measurement": "%", "state_class": "measurement"}
        return dict(
            [
                self._sensor("phase", "Phase", "value_json.phase", icon="mdi:state-machine"),
                self._sensor("step", "Step", "value_json.step.title if value_json.step else none", icon="mdi:camera"),
                self._sensor(
                    "progress", "Progress", "value_json.progress_percent", icon="mdi:progress-clock", **percent
                ),
                self._sensor("eta", "End expected", "value_json.eta", device_class="timestamp"),
                self._sensor("temperature", "Sensor temperature", "value_json.sensor_c", **celsius),
                self._sensor("cooler", "Cooler power", "value_json.cooler_percent", icon="mdi:snowflake", **percent),
                self._sensor(
                    "level", "Last level", "value_json.level_adu", unit_of_measurement="ADU", state_class="measurement"
                ),
                self._sensor("frames", "Frames", "value_json.frames", icon="mdi:image-multiple"),
                self._sensor("problems", "Problems", "value_json.problem_count", icon="mdi:alert-outline"),
                self._sensor("outcome", "Outcome", "value_json.outcome", icon="mdi:flag-checkered"),
                self._sensor("latest", "Latest", "(value_json.latest or '')[:255]", icon="mdi:text"),
            ]
        )

    def _binary_sensors(self) -> dict[str, Component]:
        problem = "{{ 'ON' if value_json.problem_count > 0 else 'OFF' }}"
        paused = "{{ 'ON' if value_json.paused else 'OFF' }}"
        return dict(
            [
                self._component("problem", "binary_sensor", "Problem", device_class="problem", value_template=problem),
                self._component("paused", "binary_sensor", "Paused", value_template=paused),
                # This sensor is always available, because it reports when the other components are unavailable.
                self._component(
                    "lost",
                    "binary_sensor",
                    "Lost",
                    device_class="problem",
                    state_topic=self.topics.status,
                    value_template=_LOST,
                    availability=[],
                ),
            ]
        )

    def _buttons(self) -> dict[str, Component]:
        if not self.takes_commands:
            # Home Assistant removes a component whose entry contains only the platform.
            return {key: {"p": "button"} for key in (*_BUTTONS, "run")}
        steering = self._availability(_ONLINE)
        buttons = dict(self._button(key, *shown, availability=steering) for key, shown in _BUTTONS.items())
        # The listener's topic uses the payloads that Home Assistant expects by default, so no template is needed.
        return buttons | dict([self._button("run", *_RUN, availability=[{"topic": self.topics.listener}])])

    def _button(self, verb: str, name: str, icon: str, **more: object) -> tuple[str, Component]:
        return self._component(
            verb,
            "button",
            name,
            icon=icon,
            command_topic=self.topics.command,
            command_template=_command_template(verb),
            retain=False,
            **more,
        )


def _command_template(verb: str) -> str:
    return (
        f'{{"command": "{verb}", "id": "ha-{{{{ (now().timestamp() * 1000) | int }}}}", '
        f'"expires": "{{{{ (utcnow() + timedelta(seconds={COMMAND_LIFE_S})).isoformat() }}}}"}}'
    )
