import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from coldframe.config.allowed import allowed
from coldframe.config.tables.broker import PASSWORD_VARIABLE, BrokerPasswordError, BrokerSettings


@pytest.fixture(autouse=True)
def no_password_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


def broker(text: str) -> BrokerSettings:
    return BrokerSettings.model_validate(tomllib.loads(text))


def test_a_broker_of_this_machine_needs_no_settings() -> None:
    plain = broker("")
    assert (plain.address, plain.user, plain.tls, plain.password()) == ("127.0.0.1:1883", None, False, None)


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes("grün und blau\r\nmore\n".encode())
    password = broker(f'password_file = "{file}"').password()
    assert password is not None
    assert password.get_secret_value() == "grün und blau"
    assert "blau" not in repr(password), "it must not be shown by accident"


def test_the_password_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    password = broker("").password()
    assert password is not None
    assert password.get_secret_value() == "secret"


@pytest.mark.parametrize("content", [b"", b"\nsecret", b"\xff\n", b"x" * 5000])
def test_a_file_without_a_password_is_reported(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(BrokerPasswordError, match="contains no password"):
        broker(f'password_file = "{file}"').password()


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BrokerPasswordError, match="No such file"):
        broker(f'password_file = "{tmp_path / "none"}"').password()


@pytest.mark.parametrize(
    "text",
    [
        'password = "secret"',
        "tls = 1",
        'ca_file = "here.pem"',
        'client_certificate = "/etc/own.pem"',
        'tls = true\nclient_key = "/etc/key.pem"',
        "port = 0",
        'host = ""',
    ],
)
def test_wrong_settings_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        broker(text)


def test_each_field_describes_its_allowed_values() -> None:
    described = {name: allowed(field) for name, field in BrokerSettings.model_fields.items()}
    assert described["tls"] == "true or false"
    assert described["ca_file"] == described["password_file"] == "a path in quotes that starts with / or ~"
