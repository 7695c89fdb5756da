from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import select

from app.config import current_settings
from app.models import CapacityForecast, db
from app.services.forecast.forecast_service import ForecastRow, forecast_service
from app.utils.periods import day_of
from app.utils.refusal import NotFound, Refused
from tests.services.forecast.stored import (
    GIB,
    connection,
    growing,
    make_database,
    make_instance,
    make_storage,
    write_days,
)

pytestmark = pytest.mark.usefixtures("app")


def today() -> date:
    return day_of(datetime.now().astimezone(), current_settings().zone)


def refreshed() -> dict[str | None, ForecastRow]:
    forecast_service.refresh()
    return {row.name: row for row in forecast_service.list_forecasts(limit=None).rows}


def database_with(sizes: list[Any], name: str = "shop", ago: int = 0) -> tuple[int, int]:
    instance_id = make_instance()
    database_id = make_database(instance_id, name)
    write_days("database", instance_id, database_id, sizes, today() - timedelta(days=ago))
    db.session.commit()
    return instance_id, database_id


def test_a_volume_that_grows_by_a_gib_a_day_is_full_on_the_day_it_has_to_be() -> None:
    instance_id = make_instance()
    volume = make_storage(instance_id, "/data", "volume", 400 * GIB)
    write_days("storage", instance_id, volume, growing(200), today())
    db.session.commit()
    row = refreshed()["/data"]
    assert (row.status, row.limit_source, row.kind) == ("fills", "volume", "volume")
    assert row.current_bytes == 299 * GIB
    assert row.bytes_per_day == pytest.approx(GIB, rel=1e-6)
    assert row.days_to_limit == 101
    assert row.full_on == today() + timedelta(days=101)
    assert row.days_earliest is not None
    assert row.days_latest is not None
    assert 90 <= row.days_earliest <= 101 <= row.days_latest <= 112
    assert row.backtest_error == pytest.approx(0, abs=0.01)
    assert row.backtest_count
    assert row.history_days == 200
    assert row.regime_since is None


def test_without_a_limit_the_growth_is_told_all_the_same() -> None:
    database_with(growing(100))
    row = refreshed()["shop"]
    assert row.status == "no_limit"
    assert row.limit_bytes is None
    assert row.days_to_limit is None
    assert row.bytes_per_day == pytest.approx(GIB, rel=1e-6)


def test_a_threshold_wins_over_the_servers_own_limit_until_it_is_cleared() -> None:
    instance_id = make_instance()
    space = make_storage(instance_id, "pg_default", "tablespace", 500 * GIB)
    write_days("storage", instance_id, space, growing(100), today())
    db.session.commit()
    assert refreshed()["pg_default"].limit_source == "tablespace"
    forecast_service.set_limit("orders", 220 * GIB, storage="pg_default", by="ann")
    row = refreshed()["pg_default"]
    assert (row.limit_bytes, row.limit_source) == (220 * GIB, "threshold")
    assert row.days_to_limit == 21
    (limit,) = forecast_service.list_limits()
    assert (limit.name, limit.limit_bytes, limit.set_by) == ("pg_default", 220 * GIB, "ann")
    forecast_service.clear_limit("orders", storage="pg_default")
    assert refreshed()["pg_default"].limit_bytes == 500 * GIB
    assert forecast_service.list_limits() == []


def test_thresholds_are_for_instances_and_databases_too() -> None:
    instance_id, _ = database_with(growing(100))
    write_days("instance", instance_id, instance_id, growing(100, 1000, 5), today())
    db.session.commit()
    forecast_service.set_limit("orders", 1520 * GIB)
    forecast_service.set_limit("orders", 204 * GIB, database="shop")
    found = refreshed()
    assert found[None].days_to_limit == 5
    assert found["shop"].days_to_limit == 5
    assert {found[None].scope, found["shop"].scope} == {"instance", "database"}


def test_what_has_reached_its_limit_is_full_even_without_a_history() -> None:
    database_with([300 * GIB])
    forecast_service.set_limit("orders", 300 * GIB, database="shop")
    row = refreshed()["shop"]
    assert (row.status, row.days_to_limit, row.full_on) == ("full", 0, today())


def test_what_stays_as_it_is_is_stable_and_what_gets_smaller_shrinks() -> None:
    instance_id = make_instance()
    noise = np.random.default_rng(5).normal(0, 0.05, 120)
    for name, a_day in (("flat", 0.0), ("smaller", -0.3)):
        database_id = make_database(instance_id, name)
        sizes = (100 + a_day * np.arange(120) + noise) * GIB
        write_days("database", instance_id, database_id, sizes.tolist(), today())
        db.session.commit()
        forecast_service.set_limit("orders", 200 * GIB, database=name)
    found = refreshed()
    assert found["flat"].status == "stable"
    assert found["flat"].days_to_limit is None
    assert found["smaller"].status == "shrinks"
    assert found["smaller"].bytes_per_day == pytest.approx(-0.3 * GIB, rel=0.1)


def test_a_purge_yesterday_does_not_make_it_shrink() -> None:
    sizes = growing(200)
    sizes[-1] -= 150 * GIB
    database_with(sizes)
    forecast_service.set_limit("orders", 200 * GIB, database="shop")
    row = refreshed()["shop"]
    assert row.status == "fills"
    assert row.days_to_limit == pytest.approx(51, abs=1)
    assert row.regime_since == today()


@pytest.mark.parametrize(
    ("sizes", "ago", "reason"),
    [
        ([], 0, "no collection has seen it yet"),
        ([None, None], 0, "it has never been sized"),
        (growing(5), 0, "its history is of 5 days; 14 are needed"),
        (
            [100.0 * GIB, *[np.nan] * 100, *growing(9)],
            0,
            "too many gaps: only 10 of 110 days have a size",
        ),
        (growing(60), 10, "it was last collected on {ago}"),
        ([*growing(60), *[None] * 6], 0, "its size is unknown since {unknown}"),
    ],
    ids=["never seen", "never sized", "too short", "gaps", "too old", "unknown now"],
)
def test_where_nothing_can_be_said_the_reason_is(sizes: list[Any], ago: int, reason: str) -> None:
    database_with(sizes, ago=ago)
    forecast_service.set_limit("orders", 10_000 * GIB, database="shop")
    row = refreshed()["shop"]
    assert row.status == "cannot_say"
    assert row.reason == reason.format(
        ago=today() - timedelta(days=10), unknown=today() - timedelta(days=5)
    )
    assert (row.days_to_limit, row.bytes_per_day) == (None, None)


def test_a_past_that_could_not_be_foretold_is_no_ground_for_a_forecast() -> None:
    random = np.random.default_rng(2)
    database_with((2.0 ** random.uniform(0, 14, 120) * GIB).tolist())
    forecast_service.set_limit("orders", 2**20 * GIB, database="shop")
    row = refreshed()["shop"]
    assert row.status == "cannot_say"
    assert row.reason is not None
    assert row.reason.startswith("its past could not be foretold either: ")
    assert row.backtest_error is not None
    assert row.backtest_error > 50


def test_a_few_days_without_a_size_are_bridged_and_the_day_of_the_last_one_is_told() -> None:
    database_with([*growing(60), None, None])
    forecast_service.set_limit("orders", 200 * GIB, database="shop")
    row = refreshed()["shop"]
    assert row.status == "fills"
    assert row.as_of == today() - timedelta(days=2)
    assert row.full_on == today() - timedelta(days=2) + timedelta(days=41)


def test_a_collection_once_a_week_is_enough() -> None:
    sizes = [size if n % 7 == 0 else np.nan for n, size in enumerate(growing(197))]
    database_with(sizes, ago=6)
    forecast_service.set_limit("orders", 350 * GIB, database="shop")
    row = refreshed()["shop"]
    assert row.status == "fills"
    assert row.days_to_limit == pytest.approx(54, abs=2)


def test_computing_again_changes_nothing_and_what_is_gone_leaves_the_list() -> None:
    instance_id, database_id = database_with(growing(100))
    other = make_database(instance_id, "crm")
    write_days("database", instance_id, other, growing(100), today())
    db.session.commit()
    first = refreshed()
    again = refreshed()
    assert first.keys() == again.keys() == {None, "shop", "crm"}
    for name, row in first.items():
        assert {**vars(row), "computed_at": None} == {**vars(again[name]), "computed_at": None}
    connection().execute("UPDATE databases SET closed_at = now() WHERE id = %s", (database_id,))
    db.session.commit()
    shown = forecast_service.list_forecasts(limit=None).rows
    assert {row.name for row in shown} == {None, "crm"}  # at once, before anything is computed
    done = forecast_service.refresh()
    assert done["forecast_count"] == 2
    kept = db.session.scalars(select(CapacityForecast.object_id)).all()
    assert set(kept) == {instance_id, other}


def test_a_removed_instance_leaves_with_all_that_it_has() -> None:
    instance_id, _ = database_with(growing(100))
    assert len(refreshed()) == 2
    connection().execute("UPDATE instances SET removed_at = now() WHERE id = %s", (instance_id,))
    db.session.commit()
    assert forecast_service.list_forecasts().rows == []
    assert forecast_service.refresh()["forecast_count"] == 0


def test_what_fills_first_comes_first_and_the_list_can_be_narrowed() -> None:
    instance_id = make_instance()
    for name, limit in (("later", 400), ("full", 50), ("soon", 210), ("new", 0)):
        database_id = make_database(instance_id, name)
        write_days(
            "database", instance_id, database_id, growing(3 if name == "new" else 100), today()
        )
        db.session.commit()
        if limit:
            forecast_service.set_limit("orders", limit * GIB, database=name)
    forecast_service.refresh()

    def names(**wanted: Any) -> list[str | None]:
        return [row.name for row in forecast_service.list_forecasts(**wanted).rows]

    assert names(scope="database") == ["full", "soon", "later", "new"]
    assert names(within_days=30) == ["full", "soon"]
    assert names(instance="orders", limit=1) == ["full"]
    assert forecast_service.list_forecasts(limit=1).more
    assert names(scope="instance") == [None]
    with pytest.raises(NotFound):
        forecast_service.list_forecasts(instance="nobody")


def test_an_empty_ledger_has_no_forecast() -> None:
    done = forecast_service.refresh()
    assert done["forecast_count"] == 0
    assert set(done["statuses"].values()) == {0}


def test_a_limit_on_what_does_not_exist_is_refused() -> None:
    instance_id, _ = database_with(growing(20))
    for kind in ("volume", "tablespace"):
        make_storage(instance_id, "data", kind, None)
    db.session.commit()
    for wanted in (
        {"instance": "nobody"},
        {"instance": "orders", "database": "nothing"},
        {"instance": "orders", "storage": "nothing"},
    ):
        with pytest.raises(NotFound):
            forecast_service.set_limit(limit_bytes=1, **wanted)
    with pytest.raises(NotFound):
        forecast_service.clear_limit("orders", database="shop")
    with pytest.raises(Refused):
        forecast_service.set_limit("orders", 1, database="shop", storage="data")
    with pytest.raises(Refused, match="several") as refused:
        forecast_service.set_limit("orders", 1, storage="data")
    assert refused.value.remedy == "Say which one: tablespace:data or volume:data"
    forecast_service.set_limit("orders", 1, storage="volume:data")
    assert forecast_service.list_limits()[0].kind == "volume"


def test_history_older_than_400_days_is_left_alone(app: Flask) -> None:  # noqa: ARG001 - its store
    database_with([5_000 * GIB] * 100 + growing(400))
    forecast_service.set_limit("orders", 600 * GIB, database="shop")
    row = refreshed()["shop"]
    assert row.history_days == 400
    assert row.days_to_limit == 101


def test_the_forecast_follows_upon_the_aggregation_and_its_failure_fails_nothing_else() -> None:
    from app.services.capacity_aggregation.capacity_aggregation_service import (
        capacity_aggregation_service,
    )

    database_with(growing(30))
    done = capacity_aggregation_service.aggregate()
    assert done["forecast"]["forecast_count"] == 2
    assert done["forecast"]["statuses"]["no_limit"] == 1
    connection().execute("ALTER TABLE capacity_limits RENAME TO elsewhere")
    db.session.commit()
    done = capacity_aggregation_service.aggregate()
    assert done["forecast"]["error"].startswith("UndefinedTable: ")
    assert done["failed_count"] == 0
    assert len(forecast_service.list_forecasts().rows) == 2  # those of before
