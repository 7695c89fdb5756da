"""WhaleFall (鲸落): a ledger of accounts and capacity for fleets of database servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.config import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None, store_url: str | None = None) -> Flask:
    """Return the application: its settings, keys, log and pool of connections. Nothing is started.

    Args:
        settings: those of the environment if None.
        store_url: what ``open_store`` answered; ``settings.database_url`` if None.

    """
    # Inside: asking this package for its version must not import the world.
    from flask import Flask
    from sqlalchemy import make_url

    from app.config import install_settings, load_settings
    from app.models import db
    from app.utils.secrets import encryption_keys, secret_key
    from app.utils.structlog_config import configure_logging

    settings = settings or load_settings()
    url = store_url or settings.database_url
    if url is None:
        raise ValueError(
            "the embedded store has to be opened first: pass what open_store() answers"
        )
    configure_logging(settings)
    app = Flask(__name__)
    install_settings(app, settings)
    app.config["SECRET_KEY"] = secret_key(settings.secret_key_file).decode()
    encryption_keys(settings.encryption_key_file)  # made now, so that a bad key stops us at start
    given = make_url(url).query.get("options", "")
    app.config["SQLALCHEMY_ENGINES"] = {
        "default": {
            "url": url,
            "pool_pre_ping": True,
            "pool_size": settings.worker_threads + 4,
            "max_overflow": settings.worker_threads,
            "pool_recycle": 1800,
            "connect_args": {
                "application_name": "whalefall",
                "connect_timeout": 10,
                # a process that freezes inside a transaction must not keep its locks for ever
                "options": f"{given} -c idle_in_transaction_session_timeout=60s".strip(),
            },
        }
    }
    db.init_app(app)
    return app
