"""If a run crashed with its panel light on, the next run first switches it off, even if its plan does not fit."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from coldframe.capture.host.rig_lock import Holder, lock_path
from coldframe.config.tables.rig import ServerSettings
from tests.indi.servers import NIGHT, PANEL, coldframe, indiserver
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.indi

SETS = """
[[sets]]
kind = "bias"
count = 5
[[sets]]
kind = "flat"
filter = "none of the wheel's"
count = 5
"""


@pytest.mark.parametrize("died", [True, False])
def test_a_plan_that_does_not_fit_leaves_the_light_of_a_dead_run_off(tmp_path: Path, *, died: bool) -> None:
    with indiserver(tmp_path / "home") as server:
        lock = lock_path(ServerSettings(port=server.port))
        night = NIGHT.format(port=server.port, unix_socket=server.unix_socket, folder=tmp_path / "out")
        config = tmp_path / "coldframe.toml"
        config.write_text(night + SETS)
        server.set(f"{PANEL}.CONNECTION.CONNECT=On")
        server.set(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On")
        if died:
            lock.write_text(json.dumps(asdict(Holder.me())))
        try:
            run = coldframe("run", "--config", config, "--no-dashboard", home=tmp_path)
            said, _ = run.communicate(timeout=PATIENCE_S)
        finally:
            lock.unlink(missing_ok=True)
        assert run.returncode == 2, said
        assert server.get(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON") == ("Off" if died else "On"), said
