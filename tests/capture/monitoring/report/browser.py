"""A headless browser that displays the report."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian package chromium)")

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
]


def browse(page: Path, *options: str) -> tuple[str, list[str]]:
    """Open a page, and return the document that the browser built and the messages of its console."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        ended = subprocess.run(
            # Host names do not resolve, so the browser cannot contact a server.
            [
                CHROMIUM, *QUIET, "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", *options,
                "--dump-dom", page.as_uri(),
            ],
            capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
    return ended.stdout, [line for line in ended.stderr.splitlines() if ":CONSOLE" in line]
