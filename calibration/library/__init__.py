"""The library: masters of all nights in one folder, found by their headers.

Start with `library.py`. `index.py` caches headers in SQLite, and may be deleted at any time; `export.py` lays out
masters for Siril and WBPP. This room must not know how masters are made.
"""
