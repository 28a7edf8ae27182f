"""The combination of the pixels of many frames into one frame.

Start with `accumulator.py`, the running state for frames as they arrive, or `column_sort.py`, for frames on disk. Both
compute the same master, bit for bit. `clipping.py` and `methods.py` define which values are kept, `pixel_state.py`
applies the definition, and `uncertainty.py` derives the uncertainty of the result, a `Stack`. This package must not
depend on the kind of frames that it combines.
"""
