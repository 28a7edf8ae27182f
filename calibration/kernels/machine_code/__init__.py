"""Machine code of kernels: compiled by Numba once, kept in files, and called without importing Numba.

Start with `kernel.py`, the entry point, and continue with `finding.py`. `fingerprint.py` and `host.py` identify code,
`store.py` keeps it in files, `loading.py` links it into the process, and `compiler.py`, the only module that imports
Numba, compiles it. This package must not depend on what the kernels compute. See
docs/decisions/0033-kernels-without-numba.md.
"""
