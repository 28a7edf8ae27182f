"""Files with passwords that other users can read."""

from pathlib import Path

import pytest

from coldframe.config.settings import Settings
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.config.tables.notify import NotifySettings
from coldframe.operations.nights.remote_subscribers import open_secrets
from tests.capture.scene import small_night


def with_secrets(password: Path, addresses: Path) -> Settings:
    tables = {
        "mqtt": MqttSettings(host="localhost", user="me", password_file=password),
        "notify": NotifySettings(urls_file=addresses),
    }
    return small_night().model_copy(update=tables)


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_only_files_that_all_users_can_read_are_reported(tmp_path: Path, mode: int, *, is_open: bool) -> None:
    password, addresses = tmp_path / "password", tmp_path / "addresses"
    for path in (password, addresses):
        path.write_text("secret")
        path.chmod(0o600)
    password.chmod(mode)
    assert open_secrets(with_secrets(password, addresses)) == ((password,) if is_open else ())


def test_a_file_is_reported_once_and_a_missing_one_not_at_all(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.write_text("secret")
    shared.chmod(0o644)
    assert open_secrets(with_secrets(shared, shared)) == (shared,)
    assert open_secrets(with_secrets(tmp_path / "gone", shared)) == (shared,)
    assert open_secrets(small_night()) == ()
