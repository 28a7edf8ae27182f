"""Judge frames, the cooler and the thermometer.

Start with `frame_gate.FrameGate`, which accepts or rejects each frame of a set. `light_leak` compares darks with each
other and with the camera's dark current, `cooler` judges the approach to a setpoint, and `thermometer` judges readings.

The modules turn measurements into verdicts; they must not use the event loop, a device or a clock. Their callers
expose, retry and report.
"""
