"""The diagnosis of calibrated lights: the artifacts that they contain, with sizes, causes and remedies.

`estimating` measures the lights, one at a time, and estimates each artifact with its error; `judging` decides which
estimates are findings. Start with `examination.py`, which collects all estimates, and `diagnosing.py`, which collects
the findings of `findings.py`. `quick_look.py` runs the quick tests during calibration, and `masters` looks at masters.
Only `files.py` and `master_files.py` read files; they must not know the library's folders.
"""
