"""Machine code of kernels: compiled by Numba once, kept in files, and called without importing Numba.

Start in `kernel.py`, which is called, and continue in `finding.py`. `fingerprint.py` and `host.py` identify code,
`store.py` keeps it in files, `loading.py` links it into the process, and `compiler.py`, the only module that imports
Numba, compiles it. The modules must not know what kernels compute. See
docs/decisions/0033-kernels-without-numba.md.
"""
