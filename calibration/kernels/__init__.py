"""Loops over pixels that Numba compiles, with one module for each task.

`machine_code` keeps what Numba compiled, so that Numba is only imported to compile. Kernels release the GIL, allocate
at most one tile, and work on any section of a frame, so that several threads can share a frame. Sums are exact
integers. Floating-point results are computed from the sums in a fixed order and without fused operations, so that they
do not depend on threads, tiles or the order of frames. Kernels must not import other modules of calibration.
"""
