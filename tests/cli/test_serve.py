"""`coldframe serve` as a process: its warnings, its errors, and a real run on the simulated rig seen by a browser."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coldframe.config.examples import example_night
from tests.capture.monitoring.web.browsers import response
from tests.patience import PATIENCE_S

COLDFRAME = (sys.executable, "-m", "coldframe")


def refused(tmp_path: Path, *arguments: str, code: int = 2) -> str:
    """Return the one line with which the command refuses its arguments."""
    command = [*COLDFRAME, "serve", "--folder", str(tmp_path), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment(tmp_path)
    )
    assert done.returncode == code
    return done.stderr


def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}


@asynccontextmanager
async def serving(tmp_path: Path, *arguments: str) -> AsyncIterator[tuple[str, int]]:
    """Start the command, and return its port and the lines that it printed before it listened."""
    process = await asyncio.create_subprocess_exec(
        *COLDFRAME, "serve", "--folder", str(tmp_path / "nights"), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("The night is at http://"), (await process.stderr.read()).decode()
        yield line, int(line.rstrip("/\n").rpartition(":")[2])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            errors = (await process.stderr.read()).decode()
            code = await process.wait()
    (tmp_path / "errors").write_text(errors)
    assert code == 0
    assert "Traceback" not in errors


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        received = await reader.read()
    writer.close()
    return response(received).text


@pytest.mark.parametrize(
    "listen", ["8787", "telescope:8787", "127.0.0.1:", "127.0.0.1:99999", "::1:8787", "[127.0.0.1]:1", ""]
)
def test_invalid_addresses_are_refused(tmp_path: Path, listen: str) -> None:
    errors = refused(tmp_path, "--listen", listen)
    assert errors.startswith(f"--listen: found {listen!r}; expected an IP address and a port")
    assert errors.count("\n") == 1


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        # Not 2, after which the service would not try again.
        errors = refused(tmp_path, "--listen", listen, code=1)
    assert errors == f"{listen}: Address already in use; choose another address with --listen, or try again later\n"


@pytest.mark.parametrize("name", ["http://pi:1", "pi:8787", "", "a b", "-pi", "pi..lan"])
def test_names_that_cannot_match_are_refused(tmp_path: Path, name: str) -> None:
    errors = refused(tmp_path, "--name", name)
    assert errors.startswith(f"--name: found {name!r}; expected the name of a machine")
    assert errors.count("\n") == 1


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "config" / "coldframe" / "web-token"
    token.parent.mkdir(parents=True)
    token.write_text("abcd-efgh-ijkl-mnop\n")
    token.chmod(0o644)
    assert refused(tmp_path, "--commands", "--listen", "127.0.0.1:0") == (
        f"{token}: other users can read or change this token; delete the file to get a new one\n"
    )


def test_a_missing_library_is_named_with_its_command(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['tornado'] = None; from coldframe.cli.command_line import main; "
        f"sys.argv = ['coldframe', 'serve', '--folder', {str(tmp_path)!r}]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("pages for browsers need tornado, which is not installed: ")
    assert line.endswith("pip install tornado")


async def test_loopback_needs_no_warning_and_no_token(tmp_path: Path) -> None:
    (tmp_path / "nights").mkdir()
    async with serving(tmp_path, "--listen", "127.0.0.1:0") as (line, port):
        assert "127.0.0.1" in line
        async with asyncio.timeout(PATIENCE_S):
            while "no night yet" not in await get(port, "/"):
                await asyncio.sleep(0.05)
    assert (tmp_path / "errors").read_text() == ""
    assert not (tmp_path / "config").exists()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path, "--listen", "127.0.0.1:0") as (_, port):
        async with asyncio.timeout(PATIENCE_S):
            while "no night yet" not in await get(port, "/"):
                await asyncio.sleep(0.05)
    folder = tmp_path / "nights"
    assert (tmp_path / "errors").read_text() == (
        f"warning: {folder}: this folder does not exist yet; nights are shown once it exists\n"
    )


def test_a_hanging_disk_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    program = (
        "import sys, time; from coldframe.capture.monitoring.watching import watched_night; "
        "watched_night.last_night = lambda *_: print('hanging', flush=True) or time.sleep(1e6); "
        f"sys.argv = ['coldframe', 'serve', '--listen', '127.0.0.1:0', '--folder', {str(tmp_path)!r}]; "
        "from coldframe.cli.command_line import main; main()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "hanging\n" in (process.stdout.readline(), process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


async def test_commands_make_the_token_and_never_show_it(tmp_path: Path) -> None:
    (tmp_path / "nights").mkdir()
    path = tmp_path / "config" / "coldframe" / "web-token"
    async with serving(tmp_path, "--listen", "127.0.0.1:0", "--commands") as (line, port):
        token = path.read_text().strip()
        assert token not in line + await get(port, "/")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "errors").read_text() == f"Commands need the token in {path}\n"


def night_of_five_biases(folder: Path) -> Path:
    text = example_night("small").read_text().replace("setpoint_c = -10.0", "setpoint_c = 4.0")
    head, sets, _ = text.partition("[[sets]]")
    path = folder / "night.toml"
    storage = f'[storage]\nfolder = "{folder / "nights"}"\n\n'
    path.write_text(f'{head}{storage}{sets}\nkind = "bias"\ncount = 5\n')
    return path


async def test_real_night_is_shown_from_its_first_event_to_its_report(tmp_path: Path) -> None:
    config = night_of_five_biases(tmp_path)
    (tmp_path / "nights").mkdir()
    async with serving(tmp_path, "--listen", "127.0.0.1:0") as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        run = await asyncio.create_subprocess_exec(
            *COLDFRAME, "run", "--simulate", "small", "--config", str(config), "--no-dashboard",
            stdout=asyncio.subprocess.DEVNULL, env=environment(tmp_path),
        )  # fmt: skip
        try:
            seen = b""
            async with asyncio.timeout(PATIENCE_S):
                for words in (
                    b"no night yet",
                    b"cool to 4 C",
                    b"All well",
                    b"5/5",
                    b"picture?",
                    b"Complete",
                    b"Morning report",
                ):
                    while words not in seen:
                        line = await reader.readline()
                        assert line, f"the stream ended before {words!r}"
                        seen += line
        finally:
            if run.returncode is None and "Complete" not in seen.decode():
                run.kill()
            await run.wait()
            writer.close()
        assert run.returncode == 0
        report = await get(port, "/report.html")
        assert "MasterBias_" in report
        assert "rig is safe" in report
    assert (tmp_path / "errors").read_text() == ""
