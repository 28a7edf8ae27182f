"""The [panel.mqtt] table: a lamp on an MQTT broker as a flat panel."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from coldframe.config.tables.broker import BrokerSettings


def _single_topic(topic: str) -> str:
    if not topic.isprintable() or not topic.strip() or set(topic) & set("+#") or topic.startswith(("$", "/")):
        raise ValueError("the topic of one lamp, without + and #, not starting with / or $")
    return topic.rstrip("/")


Topic = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_single_topic)]
Family = Literal["wled", "tasmota", "esphome", "zigbee2mqtt", "json"]

FULL_BRIGHTNESS: dict[Family, int] = {"wled": 255, "tasmota": 100, "esphome": 255, "zigbee2mqtt": 254, "json": 255}
"""Full brightness of each family, in its own steps."""


class MqttPanelSettings(BrokerSettings):
    """A lamp on an MQTT broker: its family and its topics."""

    family: Family = Field(
        description='Firmware or bridge of the lamp; "json" for any other lamp that accepts {"state": "ON", '
        '"brightness": 128}.'
    )
    topic: Topic = Field(
        description="Topic of the lamp in its own settings: for WLED the device topic, for Tasmota %topic%, for "
        "ESPHome NODE/light/NAME, for zigbee2mqtt zigbee2mqtt/NAME."
    )
    brightness_maximum: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Full brightness in the lamp's own steps, if it differs from the family's (WLED, ESPHome, "
        "json 255; zigbee2mqtt 254; Tasmota 100); 0 for a lamp that can only be switched on and off.",
    )
    command_topic: Topic | None = Field(
        default=None,
        description="Topic for commands to the lamp, instead of the family's topic; for Tasmota, the part "
        "before /POWER and /Dimmer.",
    )
    state_topic: Topic | None = Field(
        default=None, description="Topic of the lamp's state, instead of the family's topic."
    )
    availability_topic: Topic | None = Field(
        default=None,
        description="Topic of the lamp's availability (online, offline), instead of the family's topic.",
    )
    answer_deadline_s: float = Field(
        default=12.0,
        ge=1,
        le=120,
        description="Maximum time for the lamp to confirm a command; the command is repeated until then.",
    )

    @property
    def full_brightness(self) -> int:
        """Full brightness in the lamp's own steps; 0 if it can only be switched on and off."""
        return FULL_BRIGHTNESS[self.family] if self.brightness_maximum is None else self.brightness_maximum
