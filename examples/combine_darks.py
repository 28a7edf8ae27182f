"""Combine the darks in a folder into a master, and print its noise and the number of its hot pixels.

Usage: python examples/combine_darks.py FOLDER OUTPUT
"""

import sys

import numpy as np

import coldframe

HOT_SIGMA = 10.0


def main(folder: str, output: str) -> None:
    """Combine the darks, and print the files that were left out."""
    made = coldframe.combine(folder, output, reject_doubtful=True)
    for each in made.left_out:
        print(f"left out: {each.path.name}: {each.reason}")
    master = made.master
    level_adu = np.median(master.mean)
    scatter_adu = 1.4826 * np.median(np.abs(master.mean - level_adu))  # the standard deviation, without the hot pixels
    hot = np.count_nonzero(master.mean > level_adu + HOT_SIGMA * scatter_adu)
    print(f"{made.frames} darks of {master.setup.exposure_s:g} s: level {level_adu:.1f} ADU")
    print(f"noise of the master: {np.median(master.uncertainty):.2f} ADU; hot pixels: {hot}")


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case folder, output:
                main(folder, output)
            case _:
                sys.exit(__doc__)
    except coldframe.ColdframeError as error:
        sys.exit(str(error))
