"""The bit mask ``access`` in MariaDB's ``mysql.global_priv``, as words.

The order of the bits is that of the server, proved against SHOW GRANTS in the tests. The mask of a
row written by an older server is read as the server does: SUPER and REPLICATION SLAVE were split
several times, and who had the whole also has its parts. A mask with bits that its writer cannot
have known gives nothing at all.
"""

from __future__ import annotations

WORDS = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "SHUTDOWN", "PROCESS",
    "FILE", "GRANT OPTION", "REFERENCES", "INDEX", "ALTER", "SHOW DATABASES", "SUPER",
    "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "REPLICATION SLAVE", "BINLOG MONITOR",
    "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "EVENT",
    "TRIGGER", "CREATE TABLESPACE", "DELETE HISTORY", "SET USER", "FEDERATED ADMIN",
    "CONNECTION ADMIN",
    "READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "BINLOG ADMIN",
    "BINLOG REPLAY", "SLAVE MONITOR", "SHOW CREATE ROUTINE",
)  # fmt: skip
EVERYTHING = 2**64 - 1
"""What the installation writes for root: all that the running version knows."""

_KNOWN_BITS = ((110300, 40), (100509, 39), (100508, 39), (100502, 38), (0, 30))
"""How many bits a version may have written; the first line that is not above it counts."""

_LATEST_KNOWN_SERIES = 11
"""The server refuses a mask with bits that it does not know; of a newer one we cannot say which."""

_SPLIT_FROM_SUPER = (
    (100502, {
        "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN",
        "REPLICATION SLAVE ADMIN", "BINLOG ADMIN", "BINLOG REPLAY",
    }),
    (101100, {"READ_ONLY ADMIN"}),
    (110000, {
        "BINLOG MONITOR", "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN",
        "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "BINLOG ADMIN", "BINLOG REPLAY",
        "SLAVE MONITOR",
    }),
)  # fmt: skip
"""What SUPER stopped to imply and since when: who had it before that keeps it by name."""


def words_of_access(access: int, version_id: int, server: tuple[int, int, int]) -> set[str]:
    """Return the privileges of a mask.

    Args:
        access: the mask; negative is the same 64 bits, signed.
        version_id: of the server that wrote it, 101119 for 10.11.19; 0 if it does not say.
        server: the version of the server that reads it.

    Bits that this program has no word for, of a version newer than it, are "bit 40" and so on.

    """
    access %= 2**64
    running = server[0] * 10000 + server[1] * 100 + server[2]
    if access == EVERYTHING:
        return set(WORDS[: _known_bits(running)])
    if access >> _known_bits(version_id) and server[0] <= _LATEST_KNOWN_SERIES:
        return set()
    if server[0] <= _LATEST_KNOWN_SERIES:  # a row of a newer server, after a downgrade
        access &= (1 << _known_bits(running)) - 1
    words = {word for bit, word in enumerate(WORDS) if access >> bit & 1}
    words |= {f"bit {bit}" for bit in range(len(WORDS), 64) if access >> bit & 1}
    if "SUPER" in words:
        for since, parts in _SPLIT_FROM_SUPER:
            if version_id < since <= running:
                words |= parts
    if version_id < 100502:
        words |= _split_from_replication(words)
    elif version_id < 100509 and "REPLICATION SLAVE ADMIN" in words:
        words.add("SLAVE MONITOR")
    return words


def _known_bits(version_id: int) -> int:
    return next(bits for since, bits in _KNOWN_BITS if version_id >= since)


def _split_from_replication(words: set[str]) -> set[str]:
    added: set[str] = set()
    if {"SUPER", "REPLICATION SLAVE"} <= words:
        added.add("REPLICATION MASTER ADMIN")
    if words & {"BINLOG MONITOR", "REPLICATION SLAVE"}:
        added.add("SLAVE MONITOR")
    return added
