"""Run coldframe as `python -m coldframe`."""

from coldframe.cli import main

main()
