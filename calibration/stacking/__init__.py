"""The pixels of many frames combined into one.

Start with `accumulator.py`, the running state for frames as they arrive, or `column_sort.py`, for frames on disk. Both
give the same master to the bit. `clipping.py` and `methods.py` define which values are kept, `pixel_state.py` decides,
and `uncertainty.py` derives the uncertainty of the result, a `Stack`. This room must not know what the frames show.
"""
