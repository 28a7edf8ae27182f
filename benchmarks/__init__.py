"""Benchmarks: speed, memory, and the number of test frames, compared with other programs or plain NumPy in one run.

Start with `__main__`, which runs all parts; each part can also run alone. `servers` and `blob_driver` provide a real
indiserver with a fast driver, and `lights` the simulated light sources for `tuner`. Results for other programs are in
peers.md and tuner.md. Tests assert no times: timings belong here.
"""
