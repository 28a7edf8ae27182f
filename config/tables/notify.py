"""The [notify] table: addresses and topics of messages to your phone."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from coldframe.config.section import AbsolutePath, Contradiction, ContradictionError, Name, Section


def _variables(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names) or not all(name.replace("_", "a").isalnum() for name in names):
        raise ValueError("different names of environment variables")
    return names


Variables = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_variables)]


class NotifySettings(Section):
    """Messages about a night. The addresses contain passwords, so they are in a separate file."""

    urls_file: AbsolutePath | None = Field(
        default=None,
        description="File with an Apprise address on each line (for ntfy, Gotify, mail and 100 other services); "
        "make it readable only by you (chmod 600).",
    )
    urls_from: Variables = Field(
        default=(), description="Environment variables that contain one Apprise address each, in addition to the file."
    )
    start: bool = Field(default=True, description="Whether to send a message when a night starts.")
    problems: bool = Field(default=True, description="Whether to send warnings and errors, each kind once a night.")
    done: bool = Field(default=True, description="Whether to send a message with the results when a night ends.")
    deadline_s: float = Field(
        default=10.0,
        ge=1,
        le=300,
        description="Maximum time for sending a message; after that, the attempt is abandoned.",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_urls(cls, values: object) -> object:
        if isinstance(values, dict) and "urls" in values:
            text = "found addresses, which contain passwords; allowed: urls_file, or environment variables in urls_from"
            raise ContradictionError([Contradiction(("urls",), text)])
        return values

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.urls_file is None and not self.urls_from:
            raise ContradictionError(
                [Contradiction(("urls_file",), "missing; specify a file, or variables in urls_from")]
            )
        return self
