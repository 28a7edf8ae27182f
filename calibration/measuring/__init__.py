"""Measurements on the pixels of one frame, or of a growing set.

Start with `statistics.measure`: one histogram gives level, noise, saturation and preview stretch. `frame_shape`
compares the smooth pattern and the bands of frames, `amp_glow` measures amplifier glow, `noise_growth` the noise of a
master as frames are added, and `local_levels` the surroundings of each pixel. Verdicts are made elsewhere, in
`capture.judging`.
"""
