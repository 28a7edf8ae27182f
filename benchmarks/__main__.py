"""All benchmarks in turn: `python -m benchmarks`."""

import subprocess
import sys

PARTS = ("core", "live_set", "tuner", "efficiency", "throughput", "peers")


def main() -> None:
    """Run each part in a separate process, so that no part is affected by another's memory or threads."""
    for part in PARTS:
        print(f"\n== {part} ==\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=True)


if __name__ == "__main__":
    main()
