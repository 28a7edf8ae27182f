"""The combination of the pixels of many frames into one frame.

Start with `accumulator.py`, which combines frames as they arrive, with the help of a running state, or with
`column_sort.py`, which combines frames on disk. Both compute the same master, bit for bit. `clipping.py` and
`methods.py` define which values are kept, `pixel_state.py` applies this definition to the running state, and
`uncertainty.py` derives the uncertainty of the result, a `Stack`. This package must not depend on the kind of frames
that it combines.
"""
