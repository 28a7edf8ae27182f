"""The progress of a night, as sentences and figures, and an estimate of the remaining time.

Start with `state`, which applies events one by one to the state that the dashboard and telemetry show. `narrator` turns
events into sentences, `quantities` formats durations, exposure times and noise, `pace` estimates the remaining time
from the frames so far, and `line_logs` prints one line per event for runs without a terminal. No module here reads a
clock or a file.
"""
