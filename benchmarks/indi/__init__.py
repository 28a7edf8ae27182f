"""The other end of the connection in benchmarks that use real INDI: a driver that only sends frames, and its servers.

Start reading in `servers`. `pyindi_alone` receives the same frames without coldframe.
"""
