"""Read a CSV file of instances and judge every line of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.services.instances.validation import InstanceSpec, Invalid, check_instance
from app.utils.refusal import Refused

COLUMNS = {
    "name": "what you call it; needed",
    "engine": "postgresql, mysql or mariadb; needed",
    "host": "name, address, or path of a Unix socket; needed",
    "port": "the engine's usual one if empty",
    "database": "where to log in first; the engine's usual one if empty",
    "tls_mode": "verify-full (if empty), verify-ca, require or disable",
    "tls_ca_file": "PEM file of the authority to trust; relative to the CSV file",
    "tags": "several are separated by spaces or semicolons",
    "credential": "name of a stored credential; needed",
    "enabled": "true (if empty) or false",
}
NEEDED = ("name", "engine", "host", "credential")
_SECRETS = frozenset({"password", "passwd", "pwd", "secret", "token", "dsn", "url"})
_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class LineVerdict:
    """What would become of one line."""

    line: int
    """Its number in the file, as an editor counts; the header is line 1."""
    name: str
    problems: tuple[str, ...] = ()
    """What is wrong and what to do about it; empty if the line is good."""
    spec: InstanceSpec | None = None


def read_lines(content: bytes, folder: Path) -> list[LineVerdict]:
    """Return a verdict on every line that holds something, without looking into the store.

    Raises:
        Refused: The file as a whole is not usable; the message says what to do.

    """
    rows = _rows(_text(content))
    header_line, header = next(rows, (0, []))
    columns = _columns(header_line, header)
    verdicts: list[LineVerdict] = []
    for line, cells in rows:
        if any(cell.strip() for cell in cells):
            verdicts.append(_judge(line, columns, cells, folder))
    if not verdicts:
        raise Refused("the file holds no instance", "Write one line for each below the header.")
    return _without_repetitions(verdicts)


def with_store(
    lines: list[LineVerdict], *, taken_names: Collection[str], credential_names: Collection[str]
) -> list[LineVerdict]:
    """Return the verdicts with what the store says: names that exist, credentials that do not."""
    judged = []
    for line in lines:
        problems = list(line.problems)
        if line.name in taken_names:
            problems.append(
                f"{line.name} is registered already: drop the line, or `whalefall instance edit`"
            )
        if line.spec is not None and line.spec.credential not in credential_names:
            problems.append(
                f"there is no credential {line.spec.credential}: make it with "
                f"`whalefall credential add {line.spec.credential} --username USER`"
            )
        judged.append(replace(line, problems=tuple(problems)))
    return judged


def _text(content: bytes) -> str:
    if len(content) > _MOST_BYTES:
        raise Refused("the file is larger than 16 MiB", "Split it.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused("the file is UTF-16", "Save it as 'CSV UTF-8'.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"line {line} is not UTF-8", "Save the file as 'CSV UTF-8'.") from None


def _rows(text: str) -> Any:
    """Yield the number of the line on which each row begins, and its cells."""
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise Refused(
            f"line {line} cannot be read: {error}",
            'Close every quote; a quote inside a quoted value is written twice ("").',
        ) from None


def _columns(line: int, header: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in header]
    known = ", ".join(COLUMNS)
    if not any(columns):
        raise Refused("the first line is no header", f"Write the columns into it: {known}")
    secret = [column for column in columns if column in _SECRETS]
    if secret:
        raise Refused(
            f"line {line}: column {secret[0]!r}: passwords do not belong into a CSV file",
            "Store each login once with `whalefall credential add`, and name it in the column "
            "credential.",
        )
    unknown = [column or "(empty)" for column in columns if column not in COLUMNS]
    if unknown:
        raise Refused(
            f"line {line}: unknown columns: {', '.join(unknown)}", f"The columns are: {known}"
        )
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise Refused(f"line {line}: columns given twice: {', '.join(twice)}", "Keep one of each.")
    missing = [column for column in NEEDED if column not in columns]
    if missing:
        raise Refused(
            f"line {line}: columns are missing: {', '.join(missing)}",
            f"The first line has to name at least: {', '.join(NEEDED)}",
        )
    return columns


def _judge(line: int, columns: list[str], cells: list[str], folder: Path) -> LineVerdict:
    if len(cells) != len(columns):
        name = cells[columns.index("name")] if len(cells) > columns.index("name") else ""
        return LineVerdict(
            line,
            name.strip(),
            (f"{len(cells)} values for {len(columns)} columns: quote what holds a separator",),
        )
    fields: dict[str, Any] = dict(zip(columns, cells, strict=True))
    problems: list[str] = []
    ca_file = fields.pop("tls_ca_file", "").strip()
    if ca_file:
        try:
            fields["tls_ca"] = (folder / ca_file).read_text()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            problems.append(f"CA file {ca_file}: {reason}: give a PEM file that can be read")
    spec = None
    try:
        spec = check_instance(fields)
    except Invalid as invalid:
        problems += invalid.problems
    return LineVerdict(line, fields["name"].strip(), tuple(problems), spec)


def _without_repetitions(lines: list[LineVerdict]) -> list[LineVerdict]:
    first: dict[str, int] = {}
    judged = []
    for line in lines:
        if line.name and line.name in first:
            problem = f"{line.name} stands on line {first[line.name]} already: keep one of the two"
            line = replace(line, problems=(*line.problems, problem))
        else:
            first[line.name] = line.line
        judged.append(line)
    return judged
