"""FITS files, XISF files, camera raws, and durable writing.

Start with `frame_file.py` for frames that coldframe wrote, or `image_file.py` for images from any program. `cards.py`
converts header cards, `keywords.py` composes the headers of frames, `naming.py` composes file names, and `durable.py`
writes files that survive a power cut. `xisf_file.py` and `raw_file.py` convert other formats to FITS cards and pixels.
This package must not depend on how pixels are combined.
"""
