from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from app.config import Settings, SettingsError, current_settings, load_settings


@pytest.fixture(autouse=True)
def _only_our_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WHALEFALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WHALEFALL_DATA_DIR", str(tmp_path))


def _refused(**overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_settings(**overrides)
    return refused.value.lines


def test_the_defaults_need_nothing_to_be_set(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.timezone == settings.zone.key == "Asia/Shanghai"
    assert settings.encryption_key_file == tmp_path / "encryption.key"
    assert settings.store_dir == tmp_path / "postgresql"


def test_root_and_other_users_have_their_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHALEFALL_DATA_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load_settings().data_dir == Path("/var/lib/whalefall")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/dba")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert load_settings().data_dir == Path("/home/dba/.local/share/whalefall")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert load_settings().data_dir == Path("/data/whalefall")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TIMEZONE", "Mars/Base", "WHALEFALL_TIMEZONE: 'Mars/Base' is not a time zone"),
        ("TIMEZONE", "../etc/passwd", "is not a time zone"),
        ("LOG_LEVEL", "loud", "WHALEFALL_LOG_LEVEL: input should be 'DEBUG'"),
        ("LOG_FORMAT", "xml", "WHALEFALL_LOG_FORMAT: input should be 'auto'"),
        ("WORKER_THREADS", "many", "WHALEFALL_WORKER_THREADS: input should be a valid integer"),
        ("WORKER_THREADS", "0", "greater than or equal to 1"),
        ("MASS_REMOVAL_PERCENT", "101", "less than or equal to 100"),
        ("CONNECT_TIMEOUT_SECONDS", "-1", "greater than 0"),
        ("DATABASE_URL", "mysql://u:hidden@h/d", "must look like postgresql://"),
        ("DATABASE_URL", "db.example.com", "must look like postgresql://"),
        ("LOCK_TIMEOUT_SECONDS", "90", "must not exceed WHALEFALL_STATEMENT_TIMEOUT_SECONDS"),
        ("TIMZONE", "UTC", "WHALEFALL_TIMZONE is not a setting: did you mean WHALEFALL_TIMEZONE?"),
        ("ENV_FILE", "/nowhere", "WHALEFALL_ENV_FILE names /nowhere, which is not a file"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"WHALEFALL_{name}", value)
    (line,) = _refused()
    assert told in line
    assert line.endswith(".")
    assert "hidden" not in line


def test_everything_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHALEFALL_TIMEZONE", "Mars")
    monkeypatch.setenv("WHALEFALL_LOG_FORMAT", "xml")
    monkeypatch.setenv("WHALEFALL_NONSENSE", "1")
    assert len(_refused()) == 3


def test_two_keys_in_one_file_are_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    (line,) = _refused(secret_key_file=key, encryption_key_file=key)
    assert "must be two files" in line


def test_settings_can_stand_in_a_file_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "whalefall.env"
    file.write_text("WHALEFALL_TIMEZONE=UTC\nWHALEFALL_WORKER_THREADS=3\n")
    monkeypatch.setenv("WHALEFALL_ENV_FILE", str(file))
    monkeypatch.setenv("WHALEFALL_WORKER_THREADS", "5")
    settings = load_settings()
    assert (settings.timezone, settings.worker_threads) == ("UTC", 5)
    file.write_text("WHALEFALL_TIMZONE=UTC\n")
    (line,) = _refused()
    assert "WHALEFALL_TIMEZONE" in line


def test_variables_of_tests_and_passwords_are_no_typos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHALEFALL_TEST_MATRIX", "1")
    monkeypatch.setenv("WHALEFALL_PASSWORD_X", "1")
    load_settings()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_way_to_write_the_url_is_understood_and_never_shown(scheme: str) -> None:
    settings = load_settings(database_url=f"{scheme}://u:hidden@h:5432/d")
    assert settings.database_url == "postgresql+psycopg://u:hidden@h:5432/d"
    assert "hidden" not in repr(settings)


@pytest.mark.usefixtures("app")
def test_the_application_carries_its_settings_and_made_its_keys(settings: Settings) -> None:
    assert current_settings() is settings
    for file in (settings.secret_key_file, settings.encryption_key_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
