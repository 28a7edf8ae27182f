"""Loops over pixels that Numba compiles, with one module for each task.

`machine_code` stores compiled kernels, so that Numba is imported only when a kernel must be compiled. Kernels release
the GIL and work on any section of a frame, so that several threads can share a frame. Kernels that combine frames
allocate at most a few tiles. Their sums of integers are exact; their floating-point results are computed from the sums
in a fixed order and without fused operations, so that they do not depend on threads, tiles or the order of frames.
Kernels must not import other modules of calibration.
"""
