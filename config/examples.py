"""The example nights that are shipped with coldframe: one configuration for each simulated rig."""

from pathlib import Path

from coldframe.config.loading import ConfigError, Problem

_FOLDER = Path(__file__).parent / "nights"


def example_nights() -> tuple[str, ...]:
    """Return the names of the example nights, which are also the names of the shipped rigs."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def example_night(name: str) -> Path:
    """Return the configuration file of the named example night.

    Raises
    ------
    ConfigError
        If no example night has this name.
    """
    if name not in example_nights():
        names = ", ".join(example_nights())
        raise ConfigError(Path(name), [Problem(None, "", f"no example night has this name; allowed: {names}")])
    return _FOLDER / f"{name}.toml"
