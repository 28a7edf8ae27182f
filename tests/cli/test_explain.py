"""`coldframe explain`."""

import pytest

from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.explain import explain_setting
from coldframe.config.reference import tables


def explained(capsys: pytest.CaptureFixture[str], name: str | None) -> str:
    assert explain_setting(name) == ExitCode.DONE
    return " ".join(capsys.readouterr().out.split())


def test_a_setting_is_shown_with_its_meaning_range_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(capsys, "flats.target")
    assert text.startswith("flats.target Target level, as a fraction of the range from the bias level to saturation.")
    assert text.endswith("Allowed: a number above 0 and below 1. Default: 0.4")
    assert explained(capsys, "camera.device").endswith("Required.")


def test_a_table_is_shown_with_its_settings_and_the_tables_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(capsys, "flats")
    assert all(f" {key} " in text for key in tables()["flats"].settings())
    assert text.endswith("See also [flats.filters.NAME]")


def test_without_an_argument_all_tables_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(capsys, None)
    assert all(table.header in text for table in tables().values())


def test_an_unknown_setting_is_answered_with_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_setting("cooling.dwel_s") == ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cooling.dwel_s is not a setting; did you mean cooling.dwell_s")
    assert explain_setting("wombat") == ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "wombat is not a setting; coldframe explain lists all tables"
    assert explain_setting("") == ExitCode.BAD_INPUT
    assert capsys.readouterr().err.startswith("'' is not a setting")
