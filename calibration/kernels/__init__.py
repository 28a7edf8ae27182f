"""Loops over pixels, compiled by Numba: one module for each job.

Importing a kernel takes 0.7 s, so callers import it in the function that needs it. Kernels release the GIL, allocate at
most a tile, and work on any part of a frame, so that a few threads can share it. Sums are exact integers.
Floating-point results are computed from them in one fixed order and without fused operations, so that they do not
depend on threads, tiles or the order of frames. Kernels must not import anything of calibration but kernels.
"""
