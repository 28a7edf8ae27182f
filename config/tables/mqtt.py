"""The [mqtt] table: the broker for telemetry, its topics, and whether commands are accepted."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from coldframe.config.section import Contradiction, ContradictionError, Name
from coldframe.config.tables.broker import BrokerSettings

_WILDCARDS = re.compile(r"[#+\x00]|^/|/$|//|^\$")


def _is_topic(text: str) -> str:
    if _WILDCARDS.search(text):
        raise ValueError("names with / between them, without # and +, and without $ at the start")
    return text


Topic = Annotated[Name, AfterValidator(_is_topic)]


class MqttSettings(BrokerSettings):
    """Settings for publishing telemetry and for accepting commands over MQTT."""

    rig: Name | None = Field(
        default=None, description="Name of this rig in topics and in Home Assistant; if not set, the camera's name."
    )
    base_topic: Topic = Field(
        default="coldframe",
        description="Topic that contains the topics of each rig, such as coldframe/small-refractor.",
    )
    home_assistant: bool = Field(
        default=False, description="Whether to announce the rig to Home Assistant, where it then appears automatically."
    )
    discovery_prefix: Topic = Field(default="homeassistant", description="Discovery prefix of Home Assistant.")
    commands: bool = Field(
        default=False,
        description="Whether to accept commands (pause, resume, skip and abort; `coldframe listen` also accepts "
        "run). Anyone who can publish to the broker can then abort your night, or start one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_password(cls, values: object) -> object:
        if isinstance(values, dict) and "password" in values:
            text = "found a password; allowed: password_file, or the environment variable COLDFRAME_MQTT_PASSWORD"
            raise ContradictionError([Contradiction(("password",), text)])
        return values
