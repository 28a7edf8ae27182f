"""The combination of raw frames on disk, from any camera and capture program, into masters.

Start with `combine.py`: it combines one set. `finding.py` finds the files that the user specifies; `frame_sets.py`
sorts them into sets by their headers. `growing_set.py` and `state_file.py` maintain a set whose frames arrive over
months; `dask.py` stacks on a cluster; and `verify.py` combines the raw frames of a night's masters again, to check the
masters. This package must not depend on how the frames of a night are shot.
"""
