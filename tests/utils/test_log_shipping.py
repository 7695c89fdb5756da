"""What waits on its way to the log centre: in memory, in the file, and as what."""

from __future__ import annotations

import json
import logging
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.config import Settings
from app.utils.log_fingerprints import fingerprint_of
from app.utils.log_queue import LONGEST_WAIT_SECONDS, Entry, LogQueue
from app.utils.log_records import LONGEST_BYTES, event_of, record_of
from app.utils.log_shipping import LogShipper, StoreAway
from app.utils.log_spill import OrphanedFile, Producer, SpillFile, orphan, spilled
from app.utils.structlog_config import (
    configure_logging,
    get_system_logger,
)


@pytest.fixture(autouse=True)
def _logging_as_before(logging_as_before: None) -> None:
    """Whatever is logged here leaves nothing behind."""


# In memory ---------------------------------------------------------------------------------------


def test_entries_stay_in_order_until_they_are_safe_elsewhere() -> None:
    queue = LogQueue()
    for number in range(10):
        assert queue.put(b"%d" % number)
    assert [entry.sequence for entry in queue.first(4)] == [1, 2, 3, 4]
    assert [entry.sequence for entry in queue.first(4)] == [1, 2, 3, 4]
    queue.forget_through(3)
    assert queue.first(2) == [Entry(4, b"3"), Entry(5, b"4")]
    assert queue.oldest_sequence() == 4


def test_a_batch_is_bounded_by_its_bytes_but_never_empty() -> None:
    queue = LogQueue()
    for _ in range(5):
        queue.put(b"x" * 100)
    assert len(queue.first(most_bytes=250)) == 2
    assert len(queue.first(most_bytes=10)) == 1


@pytest.mark.parametrize("bounds", [{"most_entries": 3}, {"most_bytes": 30}])
def test_when_memory_is_full_one_record_waits_a_moment_and_the_next_ones_not_at_all(
    bounds: dict[str, int],
) -> None:
    queue = LogQueue(**bounds)
    for _ in range(3):
        assert queue.put(b"x" * 10)
    started = time.monotonic()
    assert not queue.put(b"x" * 10)
    assert LONGEST_WAIT_SECONDS <= time.monotonic() - started < 10 * LONGEST_WAIT_SECONDS
    started = time.monotonic()
    assert not any(queue.put(b"x" * 10) for _ in range(1000))
    assert time.monotonic() - started < LONGEST_WAIT_SECONDS * 10
    assert queue.lost_count == 1001
    queue.forget_through(1)
    assert queue.put(b"x" * 10)
    assert [entry.sequence for entry in queue.everything()] == [2, 3, 4]


def test_who_waits_for_room_goes_on_as_soon_as_there_is_some() -> None:
    queue = LogQueue(most_entries=1)
    queue.put(b"first")
    threading.Timer(0.02, queue.forget_through, [1]).start()
    assert queue.put(b"second")
    assert queue.lost_count == 0


# In the file -------------------------------------------------------------------------------------


def entries(*numbers: int) -> list[Entry]:
    return [Entry(number, b'{"event":"%d"}' % number) for number in numbers]


def read(file: SpillFile) -> list[Entry]:
    found: list[Entry] = []
    while file.unread:
        batch, ends_at, damaged = file.first()
        assert damaged == 0
        found += batch
        file.forget(ends_at)
    return found


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    file = SpillFile(tmp_path / "spill")
    file.append(entries(1))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    read(file)
    file.close()
    assert list(file.path.parent.iterdir()) == []


@given(
    batches=st.lists(
        st.lists(st.binary(max_size=60).filter(lambda record: b"\n" not in record), max_size=5),
        max_size=8,
    ),
    reads=st.lists(st.booleans(), min_size=8, max_size=8),
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_goes_in_comes_out_once_and_in_order_whenever_it_is_read(
    tmp_path: Path, batches: list[list[bytes]], reads: list[bool]
) -> None:
    file = SpillFile(tmp_path)
    put: list[Entry] = []
    got: list[Entry] = []
    try:
        for batch, reads_now in zip(batches, reads, strict=False):
            new = [Entry(len(put) + place, record) for place, record in enumerate(batch, 1)]
            file.append(new)
            put += new
            if reads_now:
                got += read(file)
        assert got + read(file) == put
    finally:
        file.close()


def left_by_a_dead_process(file: SpillFile, then: bytes = b"", instead: bytes = b"") -> Path:
    """Return a copy of a file that nobody has locked, as after kill -9."""
    copy = file.path.with_name("copy.entries")
    content = file.path.read_bytes()
    copy.write_bytes((content.replace(instead, b"#") if instead else content) + then)
    file.close()
    return copy


def loaded(path: Path) -> tuple[Producer | None, list[Entry], int]:
    with orphan(path) as found:
        assert isinstance(found, OrphanedFile)
        batches = list(found.batches())
        return (
            found.producer,
            [entry for batch, _ in batches for entry in batch],
            sum(damaged for _, damaged in batches),
        )


def test_the_next_process_reads_what_a_dead_one_left_up_to_the_last_whole_line(
    tmp_path: Path,
) -> None:
    producer = Producer()
    file = SpillFile(tmp_path, producer)
    file.append(entries(1, 2, 3))
    path = left_by_a_dead_process(file, then=b'4 00000000 {"event":')
    assert loaded(path) == (producer, entries(1, 2, 3), 0)


def test_a_damaged_line_costs_itself_only_and_is_counted(tmp_path: Path) -> None:
    file = SpillFile(tmp_path)
    file.append(entries(1, 2, 3))
    _, found, damaged = loaded(left_by_a_dead_process(file, instead=b'"2"'))
    assert (found, damaged) == (entries(1, 3), 1)


def test_a_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    file = SpillFile(tmp_path)
    file.append(entries(1))
    with orphan(file.path) as found:
        assert found is None
    file.close()


def test_two_processes_never_load_the_same_file(tmp_path: Path) -> None:
    file = SpillFile(tmp_path)
    file.append(entries(1))
    path = left_by_a_dead_process(file)
    with orphan(path) as first:
        assert first is not None
        with orphan(path) as second:
            assert second is None
        first.delete()
    assert path not in spilled(tmp_path)
    with orphan(path) as third:
        assert third is None


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = SpillFile(tmp_path, most_bytes=250)
    file.append(entries(1, 2))
    with pytest.raises(OSError, match="holds what it may hold"):
        file.append(entries(*range(3, 30)))
    file.append(entries(3))
    assert read(file) == entries(1, 2, 3)
    file.close()


# As what -----------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=[]), max_size=8), VALUES))
@hypothesis_settings(deadline=None)
def test_every_event_is_one_line_that_postgresql_can_hold(event: dict[str, Any]) -> None:
    record = record_of(event)
    assert b"\n" not in record
    assert len(event_of(record)) <= len(event)
    assert "\0" not in json.dumps(event_of(record), ensure_ascii=False)
    record.decode()


def test_a_huge_event_is_cut_and_says_so() -> None:
    huge = {"event": "x", "level": "error", "list": list(range(10**6)), "exception": "T" * 10**6}
    event = event_of(record_of(huge))
    assert len(record_of(huge)) < LONGEST_BYTES
    assert (event["event"], event["level"]) == ("x", "error")
    assert event["cut_from_bytes"] > 10**6
    assert len(event["exception"]) > 10_000


def of(error: str, **fields: Any) -> int:
    return fingerprint_of(
        {"logger": "whalefall", "module": "task_runs", "event": "Item failed", "error": error}
        | fields
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            'connection to server at "10.0.0.1", port 5432 failed: Connection refused',
            'connection to server at "db-7.example.com", port 6543 failed: Connection refused',
        ),
        (
            """(2003, "Can't connect to MySQL server on 'db1' ([Errno 111] Connection refused)")""",
            """(2003, "Can't connect to MySQL server on 'a.b' ([Errno 111] Connection refused)")""",
        ),
        ('relation "public.orders" does not exist', 'relation "s.t" does not exist'),
        ("Access denied for user 'x'@'10.1.1.1'", "Access denied for user 'y'@'h'"),
        ("after 3 attempts in 12.5 s", "after 4 attempts in 1.25 s"),
        ("no file /var/lib/a/b.c", "no file /x/y"),
        ("lost orders-07 at fe80::1", "lost orders-12 at fe80::2:3"),
        (
            "job 5f0c2c54-3c1e-4b6f-9d38-0d3a3f4f2b11 is gone",
            "job 00000000-0000-4000-8000-000000000000 is gone",
        ),
    ],
)
def test_the_same_error_of_two_targets_has_one_fingerprint(one: str, other: str) -> None:
    assert of(one) == of(other)


def test_what_the_fields_call_the_target_does_not_count() -> None:
    assert of("cannot read orders now", instance="orders") == of(
        "cannot read shop now", instance="shop"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Connection refused", "Connection timed out"),
        (
            """(2003, "Can't connect to MySQL server on 'db1'")""",
            """(1045, "Access denied for user 'x'@'db1'")""",
        ),
        ("permission denied for table x", "permission denied for schema x"),
    ],
)
def test_different_errors_have_different_fingerprints(one: str, other: str) -> None:
    assert of(one) != of(other)


def test_who_says_it_and_the_kind_of_exception_count() -> None:
    trace = "Traceback (most recent call last):\n  File x\npsycopg.errors.{}: gone"
    numbers = {
        of("x"),
        of("x", module="worker"),
        of("x", error_code="timeout"),
        of("x", exception=trace.format("UndefinedTable")),
        of("x", exception=trace.format("UndefinedColumn")),
    }
    assert len(numbers) == 5
    assert all(0 <= number < 2**63 for number in numbers)


# On its way --------------------------------------------------------------------------------------


class Away:
    """A store that is not there, which is asked all the same."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def write(self, _producer: Producer, sent: Sequence[Entry], _lost: int) -> int:
        if sent:
            self.asked.set()
            logging.getLogger("psycopg").error("what the library says while it sends")
        raise StoreAway("nobody is there")


def spoken(folder: Path) -> list[str]:
    (path,) = folder.iterdir()
    lines = path.read_bytes().splitlines()[1:]
    return [event_of(line.split(b" ", 2)[2])["event"] for line in lines]


def test_the_console_may_be_quieter_than_the_log_centre(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(Settings(data_dir=tmp_path, log_format="json", log_level="ERROR"))
    shipper = LogShipper("INFO")
    shipper.start()
    get_system_logger().info("quiet")
    get_system_logger().error("loud")
    get_system_logger().debug("nothing")
    shipper.connect(Away().write, tmp_path / "spill")
    shipper.close()
    get_system_logger().info("too late")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in told if line["logger"] == "whalefall"] == ["loud"]
    assert spoken(tmp_path / "spill") == ["quiet", "loud"]


def test_what_is_said_about_the_sending_is_for_the_console_only_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(Settings(data_dir=tmp_path, log_format="json"))
    shipper = LogShipper("INFO")
    shipper.start()
    store = Away()
    shipper.connect(store.write, tmp_path / "spill")
    get_system_logger().info("one")
    assert store.asked.wait(5)
    store.asked.clear()
    assert store.asked.wait(5), "it has to be tried again"
    get_system_logger().info("two")
    shipper.close()
    told = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert sum("does not answer" in event for event in told) == 1
    assert "what the library says while it sends" in told
    assert spoken(tmp_path / "spill") == ["one", "two"]


def test_the_end_of_a_process_does_not_wait_for_a_store_that_hangs(tmp_path: Path) -> None:
    let_go = threading.Event()

    def hang(_producer: Producer, _sent: Sequence[Entry], _lost: int) -> int:
        let_go.wait(60)
        raise StoreAway("at last")

    configure_logging(Settings(data_dir=tmp_path, log_format="json"))
    shipper = LogShipper("INFO")
    shipper.start()
    shipper.connect(hang, tmp_path / "spill")
    get_system_logger().info("one")
    time.sleep(1.2)
    started = time.monotonic()
    shipper.close(timeout_seconds=0.5)
    assert time.monotonic() - started < 5
    assert spoken(tmp_path / "spill") == ["one"]
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "logs":
            thread.join(10)
