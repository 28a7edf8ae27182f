"""Calibrate the lights in a folder, and exit with code 1 unless all of them calibrate cleanly.

Usage: python examples/calibrate_and_check.py LIGHTS LIBRARY OUTPUT
"""

import sys

import coldframe


def main(lights: str, library: str, output: str) -> bool:
    """Print the masters and the findings; return True if all lights calibrate cleanly."""
    masters = coldframe.Library(library)
    print(f"{len(masters.masters())} masters in {masters.folder}")
    done = coldframe.calibrate(lights, output, library=library, floating=True)
    for each in done.lights:
        frame = coldframe.read_frame(each.path, extension=0)
        print(f"{each.path.name}: mean {frame.pixels.mean():.1f} ADU")
    for failed in done.left_out:
        print(f"not calibrated: {failed.path.name}: {failed.reason}")
    found = coldframe.diagnose(lights, library=library)
    print(found.verdict)
    for finding in found.findings:
        if finding.matters:
            print(f"  {finding.kind}: {finding.size:.3g} {finding.unit}. {finding.fix}")
    return found.is_clean and not found.left_out and not done.left_out


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case lights, library, output:
                sys.exit(0 if main(lights, library, output) else 1)
            case _:
                sys.exit(__doc__)
    except coldframe.ColdframeError as error:
        sys.exit(str(error))
