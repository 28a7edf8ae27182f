"""Benchmarks of speed, memory and the number of test frames, compared with other programs or plain NumPy in one run.

Start with `__main__`, which runs all parts. Each part can also run alone. `servers` and `blob_driver` provide a real
indiserver with a fast driver, `machine` names the machine, and `lights` provides the simulated light sources for
`tuner`. The results for other programs are in peers.md and tuner.md, and those for the frames of a night in live.md.
Tests must not depend on times, so only the benchmarks measure them.
"""
