"""The store, open as long as a command needs it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from flask import Flask


@contextmanager
def opened(*, migrate: bool = False, stays: bool = False, works: bool = False) -> Iterator[Flask]:
    """Open the store and push an application context.

    An embedded store that does not exist yet is made; any other one has to be at this version,
    unless ``migrate`` is asked for. A command that ``stays`` logs what it does; any other one
    answers, and logs only what is wrong, unless WHALEFALL_LOG_LEVEL says otherwise. What one that
    stays or ``works`` logs goes to the log centre, too, even if the console does not show it.

    Raises:
        SettingsError, StoreError: They say what to do.

    """
    # Inside, here and in every command: `whalefall --help` must not wait for what it does not need.
    from app import create_app
    from app.config import load_settings
    from app.models import db
    from app.services.log_centre import shipping
    from app.services.store.store_service import open_store, require_current, upgrade
    from app.utils.structlog_config import configure_logging

    settings = load_settings()
    shown = settings
    if not stays and "log_level" not in settings.model_fields_set:
        shown = settings.model_copy(update={"log_level": "ERROR"})
    configure_logging(shown)
    new = settings.database_url is None and not settings.store_dir.exists()
    with ExitStack() as ending:
        shipper = ending.enter_context(shipping.shipping(settings)) if stays or works else None
        url = ending.enter_context(open_store(settings))
        if migrate or new:
            upgrade(url)
        else:
            require_current(url)
        app = create_app(shown, url)
        if shipper is not None:
            shipping.connect(shipper, settings, url)
            ending.callback(shipper.close)  # while the store is still there
        with app.app_context():
            try:
                yield app
            finally:
                db.session.close()
                db.engine.dispose()


def zone() -> ZoneInfo:
    """Return the zone in which people read times."""
    from app.config import current_settings

    return current_settings().zone


def who() -> str:
    """Return who asks, for the records."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return "unknown"
