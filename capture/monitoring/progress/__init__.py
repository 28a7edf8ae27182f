"""The progress of a night in sentences and figures, with an estimate of the remaining time.

Start with `state`, which applies events one by one to the state that the dashboard and telemetry show. `narrator` turns
events into sentences, and `quantities` formats durations, exposure times and noise. `pace` estimates the remaining time
from the frames so far. `line_logs` prints one line per event for runs without a terminal. None of these modules reads a
clock or a file.
"""
