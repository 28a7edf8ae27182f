"""Measurements of the pixels of one frame, or of the frames of a growing set.

Start with `statistics.measure`, which measures level, noise and saturation of a frame. `frame_shape` compares the
smooth pattern and the banding of frames, `amp_glow` measures amplifier glow, `noise_growth` measures the noise of a
master as frames are added, and `local_levels` measures the level and spread around each pixel. This package does not
judge frames; `looks` does.
"""
