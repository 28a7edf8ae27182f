"""The file with the token is made once, readable by its user alone, and refused otherwise."""

import os
import re
import stat
from pathlib import Path

import pytest

from coldframe.capture.monitoring.web.token_file import TokenFileError, read_token


def test_the_first_use_makes_a_random_token(tmp_path: Path) -> None:
    path = tmp_path / "config" / "web-token"
    token = read_token(path)
    assert re.fullmatch(r"([a-z2-7]{4}-){5}[a-z2-7]{4}", token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token(path) == token
    assert read_token(tmp_path / "other") != token


def test_a_token_of_the_user_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "web-token"
    path.write_text("correct-horse-battery-staple\r\nsecond line\n")
    path.chmod(0o400)
    assert read_token(path) == "correct-horse-battery-staple"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "web-token"
    read_token(path)
    path.chmod(mode)
    with pytest.raises(TokenFileError, match="other users"):
        read_token(path)


@pytest.mark.parametrize("content", [b"", b"short\n", b"x" * 201, b"\xff" * 20, b"two words are no token\n"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "web-token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(TokenFileError, match="contains no token"):
        read_token(path)


def test_fifos_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(TokenFileError, match="not a regular file"):
        read_token(tmp_path / "fifo")
    with pytest.raises(TokenFileError, match=r"cannot be read|not a regular file"):
        read_token(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenFileError, match="cannot be read"):
        read_token(tmp_path / "file" / "web-token")


def test_a_file_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc/nothing/here")
    with pytest.raises(TokenFileError, match="cannot be created"):
        read_token(tmp_path / "link" / "web-token")
