from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.config import Settings
from app.services.store.store_service import StoreError, open_store, require_current, upgrade
from app.utils.postgres_server import postmaster

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about being root")


def test_a_store_of_ones_own_is_used_as_it_is(store_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=store_url, data_dir=tmp_path / "unused")
    with open_store(settings) as url:
        assert url == store_url
    assert not settings.data_dir.exists()


def test_a_store_that_cannot_be_reached_is_told_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        url = f"postgresql://u:hidden@127.0.0.1:{port}/d"
        with (
            pytest.raises(
                StoreError, match="WHALEFALL_DATABASE_URL names cannot be reached"
            ) as told,
            open_store(Settings(database_url=url, data_dir=tmp_path)),
        ):
            pass
    assert "hidden" not in str(told.value)


def test_without_a_url_the_embedded_store_lives_in_the_data_directory(public_tmp: Path) -> None:
    settings = Settings(data_dir=Path(tempfile.mkdtemp(dir=public_tmp)))
    with open_store(settings, durable=False) as url:
        upgrade(url)
        require_current(url)
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_database()")) == "whalefall"
        assert stat.S_IMODE(settings.store_dir.stat().st_mode) == 0o700
        assert postmaster(settings.store_dir / "data") is not None
    assert postmaster(settings.store_dir / "data") is None
    with open_store(settings, durable=False) as url:
        require_current(url)


@as_root
def test_a_directory_full_of_other_things_is_not_opened_up(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "diary.txt").touch()
    with (
        pytest.raises(StoreError, match="choose a WHALEFALL_DATA_DIR"),
        open_store(Settings(data_dir=tmp_path)),
    ):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match="choose another WHALEFALL_DATA_DIR"),
        open_store(Settings(data_dir=tmp_path / "file" / "data")),
    ):
        pass
