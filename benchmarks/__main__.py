"""Run all benchmarks in turn with `python -m benchmarks`."""

import subprocess
import sys

PARTS = ("core", "live_set", "tuner", "efficiency", "throughput", "planning", "peers", "calibrating")


def main() -> None:
    """Run each part in a separate process, so that the memory and threads of one part do not affect the next."""
    for part in PARTS:
        print(f"\n== {part} ==\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=True)


if __name__ == "__main__":
    main()
