from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.credentials.credentials_service import credentials_service
from app.services.instances.csv_import import COLUMNS, read_lines
from app.services.instances.instances_service import instances_service
from app.utils.refusal import Refused

HEADER = "name,engine,host,credential"
HERE = Path()


def verdicts(text: str, folder: Path = HERE) -> list[tuple[int, str, str]]:
    return [
        (line.line, line.name, "; ".join(line.problems))
        for line in read_lines(text.encode(), folder)
    ]


def refusal(content: bytes) -> str:
    with pytest.raises(Refused) as refused:
        read_lines(content, HERE)
    assert refused.value.remedy
    return f"{refused.value.message} {refused.value.remedy}"


def test_good_lines_have_no_problems_and_keep_the_number_that_an_editor_shows() -> None:
    text = f'{HEADER}\n\na,mysql,h,prod\n"b",mysql,"h\n",prod\nc,pg,h2,prod\n'
    assert [(line, name) for line, name, _ in verdicts(text)] == [(3, "a"), (4, "b"), (6, "c")]
    assert all(not problems for _, _, problems in verdicts(text))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_that_write_other_separators_and_a_mark_at_the_front_are_read(
    delimiter: str,
) -> None:
    text = "\ufeff" + f"{HEADER},tags\na,mysql,h,prod,eu x\n".replace(",", delimiter)
    [line] = read_lines(text.encode(), HERE)
    assert line.problems == ()
    assert line.spec is not None
    assert line.spec.tags == ("eu", "x")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no header"),
        (b"name,engine,host,credential\n", "no instance"),
        (b"name,host\n", "columns are missing: engine, credential"),
        (b"name,engine,host,credential,colour\n", "unknown columns: colour"),
        (b"name,engine,host,credential,host\n", "given twice: host"),
        (b"name,engine,host,credential,password\na,b,c,d,hunter2\n", "whalefall credential add"),
        (f"{HEADER}\na,mysql,h,\xff\n".encode("latin-1"), "line 2 is not UTF-8"),
        (f"{HEADER}\n".encode("utf-16"), "CSV UTF-8"),
        (f'{HEADER}\na,mysql,h,prod\nb,"mysql,h,prod\n'.encode(), "line 3 cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_do(content: bytes, told: str) -> None:
    assert told in refusal(content)
    assert "hunter2" not in refusal(content)


def test_a_bad_line_names_everything_that_is_wrong_with_it() -> None:
    [(line, name, problems)] = verdicts(f"{HEADER},port\na b,db2,u:p@h,,x\n")
    assert (line, name) == (2, "a b")
    for told in (
        "name 'a b'",
        "engine 'db2'",
        "host holds a '@'",
        "credential is missing",
        "port 'x'",
    ):
        assert told in problems


def test_a_line_with_too_many_values_says_how_to_quote() -> None:
    [(_, name, problems)] = verdicts(f"{HEADER}\na,mysql,h,prod,more\n")
    assert name == "a"
    assert "5 values for 4 columns" in problems


def test_a_name_that_stands_twice_names_the_first_line() -> None:
    lines = verdicts(f"{HEADER}\na,mysql,h,prod\nb,mysql,h,prod\na,mysql,h,prod\n")
    assert [problems for _, _, problems in lines][:2] == ["", ""]
    assert "stands on line 2 already" in lines[2][2]


def test_a_ca_file_is_found_beside_the_csv_file_and_has_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    text = f"{HEADER},tls_ca_file\na,mysql,h,prod,ca.pem\nb,mysql,h,prod,none.pem\n"
    [(_, _, wrong), (_, _, missing)] = verdicts(text, tmp_path)
    assert "no PEM certificate" in wrong
    assert "none.pem: No such file" in missing


@given(
    st.lists(
        st.lists(st.text(max_size=12), min_size=len(COLUMNS), max_size=len(COLUMNS)), max_size=4
    )
)
def test_whatever_the_cells_hold_every_line_gets_a_verdict_or_the_file_a_reason(
    rows: list[list[str]],
) -> None:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    expected = [row for row in rows if any(cell.strip() for cell in row)]
    try:
        lines = read_lines(written.getvalue().encode(errors="replace"), Path("/nowhere"))
    except Refused as refused:
        assert refused.remedy  # noqa: PT017 - either a verdict or a reason
    else:
        assert len(lines) == len(expected)


@pytest.mark.usefixtures("app")
def test_an_import_writes_all_or_nothing_and_names_an_unknown_credential() -> None:
    credentials_service.add("prod", "u", "p")
    text = f"{HEADER}\na,mysql,h,prod\nb,mysql,h,other\n".encode()
    done = instances_service.import_csv(text, folder=HERE)
    assert done.added == 0
    assert "whalefall credential add other" in done.lines[1].problems[0]
    assert instances_service.list_instances() == []
    assert instances_service.import_csv(text, folder=HERE, skip_bad=True, dry_run=True).added == 0
    assert instances_service.list_instances() == []
    assert instances_service.import_csv(text, folder=HERE, skip_bad=True).added == 1
    assert [row.name for row in instances_service.list_instances()] == ["a"]
