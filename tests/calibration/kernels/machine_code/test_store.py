"""A file of machine code is used only if it is whole, and if nobody else can have written it."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.calibration.kernels.machine_code import store as store_module
from coldframe.calibration.kernels.machine_code.loading import MachineCode
from coldframe.calibration.kernels.machine_code.store import Identity, find, folders, keep
from tests.permissions import permissions_apply

IDENTITY = Identity("module.name", "int64", "host", "fingerprint")
CODE = MachineCode("function", "environment", bytes(range(256)) * 20)


def test_code_is_found_again(store: Path) -> None:
    assert find(IDENTITY) is None
    keep(IDENTITY, CODE)
    assert find(IDENTITY) == CODE
    assert store.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("part", range(4))
def test_code_with_another_identity_is_not_found(store: Path, part: int) -> None:
    keep(IDENTITY, CODE)
    other = Identity(*("another" if number == part else text for number, text in enumerate(IDENTITY)))
    assert find(other) is None

    # Not even under its name.
    (file,) = store.iterdir()
    file.rename(store / other.file_name)
    assert find(other) is None


def test_new_code_replaces_that_of_the_former_kernel(store: Path) -> None:
    keep(IDENTITY, CODE)
    changed = IDENTITY._replace(fingerprint="changed")
    keep(changed, CODE._replace(content=b"other"))
    assert find(IDENTITY) is None
    assert find(changed) == CODE._replace(content=b"other")
    assert len(list(store.iterdir())) == 1


def test_damaged_code_is_not_used(store: Path) -> None:
    keep(IDENTITY, CODE)
    (file,) = store.iterdir()
    whole = file.read_bytes()
    for position in range(0, len(whole), 97):
        file.write_bytes(whole[:position])
        assert find(IDENTITY) is None
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert find(IDENTITY) is None
    file.write_bytes(whole + b"\0")
    assert find(IDENTITY) is None
    file.write_bytes(whole)
    assert find(IDENTITY) == CODE


def by_a_link(file: Path) -> None:
    file.rename(file.with_name("download"))
    file.symlink_to(file.with_name("download"))


def by_a_hard_link(file: Path) -> None:
    file.with_name("download").hardlink_to(file)


def by_the_mode_of_the_file(file: Path) -> None:
    file.chmod(0o620)


def by_the_mode_of_the_folder(file: Path) -> None:
    file.parent.chmod(0o770)


def by_a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


PLANTS = (by_a_link, by_a_hard_link, by_the_mode_of_the_file, by_the_mode_of_the_folder, by_a_fifo)


@pytest.mark.parametrize("plant", PLANTS)
def test_code_that_others_can_have_written_is_not_used(store: Path, plant: Callable[[Path], None]) -> None:
    keep(IDENTITY, CODE)
    plant(store / IDENTITY.file_name)
    assert find(IDENTITY) is None


@pytest.mark.usefixtures("store")
def test_code_of_another_user_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(IDENTITY, CODE)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert find(IDENTITY) is None


def test_the_next_folder_is_used_if_the_first_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(store_module, "folders", lambda: iter([tmp_path / "file" / "a", tmp_path / "b"]))
    keep(IDENTITY, CODE)
    assert (tmp_path / "b" / IDENTITY.file_name).is_file()
    assert find(IDENTITY) == CODE
    assert caplog.records == []


def test_a_folder_that_cannot_be_written_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        keep(IDENTITY, CODE)
        keep(IDENTITY, CODE)
    assert find(IDENTITY) is None
    (record,) = caplog.records
    assert "cannot be stored" in record.getMessage()
    assert str(tmp_path / "file") in record.getMessage()


def test_a_read_only_folder_is_read_but_not_written(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(IDENTITY, CODE)
    store.chmod(0o500)
    with permissions_apply():
        keep(IDENTITY._replace(signature="float64"), CODE)
        assert find(IDENTITY) == CODE
    assert len(list(store.iterdir())) == 1
    assert "cannot be stored" in caplog.text


def test_the_folder_beside_the_kernels_comes_before_that_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    beside, own = folders()
    assert beside.parent.name == "__pycache__"
    assert own == tmp_path / "coldframe" / "kernels"


def test_nothing_is_kept_beside_the_kernels_of_another_users_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert list(folders()) == [tmp_path / "coldframe" / "kernels"]


def test_modules_in_an_archive_have_no_folder_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(store_module, "__file__", str(tmp_path / "coldframe.zip" / "store.py"))
    assert list(folders()) == [tmp_path / "coldframe" / "kernels"]
