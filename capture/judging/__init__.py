"""Verdicts on frames, cooler and thermometer.

Start with `frame_gate.FrameGate`, which accepts or rejects each frame of a set. `light_leak` compares darks with each
other and with the camera's dark current, `cooler` judges the way to a setpoint, and `thermometer` judges readings.

Measurements go in and verdicts come out: no event loop, no device, no clock. The callers expose, retry and report.
"""
