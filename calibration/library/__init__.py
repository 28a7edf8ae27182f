"""The library: one folder with the masters of all nights; masters are found by their headers.

Start with `library.py`. `index.py` caches headers in an SQLite file that can be deleted at any time. This package must
not depend on how masters are computed.
"""
