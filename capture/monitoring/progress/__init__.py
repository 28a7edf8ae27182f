"""How far a night has come: in sentences, in figures, and as an estimate of when it will end.

Start with `state`, which applies events one by one to what dashboard and telemetry show. `narrator` puts events into
sentences, `quantities` writes durations, exposures and noises, `pace` estimates the remaining time from the frames so
far, and `line_logs` prints a line per event for runs without a terminal. Nothing here reads a clock or a file.
"""
