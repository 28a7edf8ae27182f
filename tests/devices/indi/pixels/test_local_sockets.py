"""The local sockets of running servers."""

from pathlib import Path

import pytest

from coldframe.devices.indi.pixels import local_sockets as module
from coldframe.devices.indi.pixels.local_sockets import local_sockets


def process(folder: Path, number: int, *words: str) -> None:
    (folder / str(number)).mkdir()
    (folder / str(number) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "PROCESSES", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["indiserver", "indi_simulator_ccd"], ("/tmp/indiserver",)),
        (["/usr/bin/indiserver", "-u", "/run/rig", "-p", "7624"], ("/run/rig",)),
        (["indiserver", "-f", "/run/indiFIFO", "-u", "/run/rig"], ("/run/rig", "/run/indiFIFO_sock")),
        (["indiserver", "-p", "7625", "-u", "/run/rig"], ()),
        (["python3", "-p", "7624", "-u", "/run/rig"], ()),
    ],
)
def test_sockets_are_those_of_servers_with_the_port(processes: Path, words: list[str], expected: tuple[str]) -> None:
    process(processes, 10, *words)
    (processes / "11").mkdir()  # it has ended
    assert local_sockets(7624) == expected
