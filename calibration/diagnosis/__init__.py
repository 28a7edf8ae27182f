"""The diagnosis of calibrated lights: the artifacts that they contain, with sizes, causes and remedies.

`estimating` measures the lights, one at a time, and estimates each artifact with a standard error; `judging` decides
which estimates are findings. Start with `examination.py`, which collects all estimates, and `diagnosing.py`, which
turns them into findings as defined in `findings.py`. `quick_look.py` runs the inexpensive tests during calibration,
and `masters` examines masters. Only `files.py` and `master_files.py` read files; these two modules must not depend on
the folder structure of the library.
"""
