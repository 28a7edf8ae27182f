"""Loops over pixels, compiled by Numba: one module for each job.

Importing a kernel takes 0.7 s, so callers import it in the function that needs it. Kernels release the GIL and work on
any part of a frame, so that a few threads can share it. They allocate at most a tile. Sums are exact integers; whatever
is computed in floating point is computed from them in one fixed order and without fused operations, so that a result
does not depend on threads, tiles or the order of frames. Kernels must not import anything of calibration but kernels.
"""
