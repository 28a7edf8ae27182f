"""The table [panel.mqtt]: a lamp on an MQTT broker as a flat panel."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from coldframe.config.tables.broker import BrokerSettings


def _single_topic(topic: str) -> str:
    if not topic.isprintable() or not topic.strip() or set(topic) & set("+#") or topic.startswith(("$", "/")):
        raise ValueError("the topic of one light, without + and #, not starting with / or $")
    return topic.rstrip("/")


Topic = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_single_topic)]
Family = Literal["wled", "tasmota", "esphome", "zigbee2mqtt", "json"]

FULL_BRIGHTNESS: dict[Family, int] = {"wled": 255, "tasmota": 100, "esphome": 255, "zigbee2mqtt": 254, "json": 255}
"""Full brightness of each family, in its own steps."""


class MqttPanelSettings(BrokerSettings):
    """A lamp on an MQTT broker: its family and its topics."""

    family: Family = Field(
        description='Which firmware or bridge the light speaks through; "json" for any other that takes '
        '{"state": "ON", "brightness": 128}.'
    )
    topic: Topic = Field(
        description="The light's own topic, as its settings have it: of WLED the device topic, of Tasmota %topic%, of "
        "ESPHome NODE/light/NAME, of zigbee2mqtt zigbee2mqtt/NAME."
    )
    brightness_maximum: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Full brightness in the light's own steps, where it is not the family's (WLED, ESPHome, json 255; "
        "zigbee2mqtt 254; Tasmota 100); 0 for a light that can only be switched.",
    )
    command_topic: Topic | None = Field(
        default=None,
        description="Where the light takes orders, instead of where the family does; of Tasmota the part before "
        "/POWER and /Dimmer.",
    )
    state_topic: Topic | None = Field(
        default=None, description="Where the light tells its state, instead of where the family does."
    )
    availability_topic: Topic | None = Field(
        default=None, description="Where online and offline are told of the light, instead of where the family does."
    )
    answer_deadline_s: float = Field(
        default=12.0,
        ge=1,
        le=120,
        description="Longest time from an order until the light has confirmed it; the order is repeated meanwhile.",
    )

    @property
    def full_brightness(self) -> int:
        """Full brightness in the lamp's own steps; 0 if it can only be switched on and off."""
        return FULL_BRIGHTNESS[self.family] if self.brightness_maximum is None else self.brightness_maximum
