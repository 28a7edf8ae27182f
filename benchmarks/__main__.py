"""All measurements, one after the other: `python -m benchmarks`."""

import subprocess
import sys

PARTS = ("core", "live_set", "tuner", "efficiency", "throughput", "peers")


def main() -> None:
    """Run each part in a process of its own, so that none sees the memory or the threads of another."""
    for part in PARTS:
        print(f"\n== {part} ==\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=True)


if __name__ == "__main__":
    main()
