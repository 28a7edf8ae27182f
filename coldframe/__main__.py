"""Run coldframe, as `python -m coldframe` or as the command `coldframe`."""

import gc
import os
import sys
import time


def main() -> None:
    """Run the command line, after checking that the computer's clock can be read; many modules read it on import."""
    try:
        time.time()
    except OverflowError:  # Python counts nanoseconds from 1970 in 64 bits
        sys.stderr.write("the computer's clock shows a date before 1678 or after 2262: set the clock\n")
        sys.exit(2)
    # NumPy's linear-algebra threads busy-wait on processors that stacking needs; no large matrix is ever multiplied.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(50_000)  # imports create hardly any garbage; with the default threshold, collection takes 0.1 s
    from coldframe.cli import main as run_command  # noqa: PLC0415 - this import reads the clock

    try:
        run_command()
    finally:
        gc.freeze()  # Python would otherwise search all objects for cycles on exit; this takes up to 0.2 s


if __name__ == "__main__":
    main()
