"""Unattended end-of-night calibration frames for INDI rigs."""


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Reading the metadata takes longer than the rest of `coldframe --help`, so it waits until it is needed.
        from importlib.metadata import version  # noqa: PLC0415

        return version("coldframe")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
