"""The connection to an MQTT broker. The password is in a file or in the environment, never in the configuration."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from coldframe.config.section import AbsolutePath, Contradiction, ContradictionError, Name, Section
from coldframe.errors import ColdframeError

PASSWORD_VARIABLE = "COLDFRAME_MQTT_PASSWORD"  # noqa: S105  the name of a variable, no password
LONGEST_PASSWORD_BYTES = 4096


class BrokerPasswordError(ColdframeError):
    """The password of a broker cannot be read; the message gives the reason and the remedy."""


class BrokerSettings(Section):
    """An MQTT broker."""

    host: Name = Field(default="127.0.0.1", description="Host name or IP address of the MQTT broker.")
    port: int = Field(
        default=1883, ge=1, le=65535, description="TCP port of the broker; with TLS, most brokers use 8883."
    )
    user: Name | None = Field(
        default=None, description="User name for the broker; if not set, the connection is anonymous."
    )
    password_file: AbsolutePath | None = Field(
        default=None,
        description="File whose first line is the password; make it readable only by you (chmod 600). If not set, "
        f"the environment variable {PASSWORD_VARIABLE} is used. Never put the password itself into the configuration.",
    )
    tls: bool = Field(
        default=False,
        description="Whether to encrypt the connection and verify the broker's certificate; without TLS, the "
        "password crosses the network unencrypted.",
    )
    ca_file: AbsolutePath | None = Field(
        default=None,
        description="With TLS: certificate of the authority that signed the broker's certificate, if the system "
        "does not know it.",
    )
    client_certificate: AbsolutePath | None = Field(
        default=None, description="With TLS: certificate with which coldframe identifies itself to the broker (PEM)."
    )
    client_key: AbsolutePath | None = Field(
        default=None,
        description="Key of the client certificate (PEM, without a password); not needed if the certificate's file "
        "contains it.",
    )

    @model_validator(mode="after")
    def _check_certificates(self) -> Self:
        # These settings are refused rather than ignored, because a user who sets one of them believes that the
        # connection is encrypted.
        for name in ("ca_file", "client_certificate", "client_key"):
            if getattr(self, name) is not None and not self.tls:
                raise ContradictionError([Contradiction((name,), "found without TLS; allowed: only with tls = true")])
        if self.client_key is not None and self.client_certificate is None:
            text = "found without client_certificate; allowed: only with client_certificate"
            raise ContradictionError([Contradiction(("client_key",), text)])
        return self

    @property
    def address(self) -> str:
        """The broker's address, for messages."""
        return f"{self.host}:{self.port}"

    def password(self) -> SecretStr | None:
        """Return the password; None if no password is configured.

        Raises
        ------
        BrokerPasswordError
            If the file cannot be read or contains no password.
        """
        if self.password_file is None:
            found = os.environ.get(PASSWORD_VARIABLE)
            return SecretStr(found) if found else None
        try:
            with self.password_file.open("rb") as file:
                content = file.read(LONGEST_PASSWORD_BYTES + 1)
        except OSError as error:
            raise BrokerPasswordError(
                f"{self.password_file}: the broker's password cannot be read: {error.strerror or error}. "
                "The first line of this file must be the password."
            ) from error
        return SecretStr(_first_line(self.password_file, content))


def _first_line(path: Path, content: bytes) -> str:
    try:
        line = content.split(b"\n", 1)[0].rstrip(b"\r").decode()
    except UnicodeDecodeError:
        line = ""
    if not line or len(content) > LONGEST_PASSWORD_BYTES:
        raise BrokerPasswordError(f"{path} contains no password. Its first line must be the password, in UTF-8.")
    return line
