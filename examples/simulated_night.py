"""Run a night on the simulated rig, print each accepted frame, and list the masters.

Usage: python examples/simulated_night.py FOLDER [CONFIG]
"""

import sys
from collections.abc import Mapping
from typing import Any

import coldframe


def show(event: Mapping[str, Any]) -> None:
    """Print an event if it is about a frame, or about the end of the night."""
    if event["event"] in {"frame-accepted", "night-ended"}:
        print(event["at"], event["event"])


def main(folder: str, config: str | None = None) -> bool:
    """Run the night; return True if it is complete, and the rig is safe."""
    night = coldframe.run_night(config, simulate="small", folder=folder, on_event=show)
    for path in night.masters:
        master = coldframe.read_master(path)
        print(f"{path.name}: {master.setup.kind}, {master.header['STACKCNT']} frames")
    print(f"{night.outcome}; the rig is {'safe' if night.is_safe else 'NOT SAFE'}")
    return night.outcome == "complete" and night.is_safe


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    try:
        sys.exit(0 if main(*sys.argv[1:]) else 1)
    except coldframe.ColdframeError as error:
        sys.exit(str(error))
