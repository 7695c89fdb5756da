"""Which limits are in effect: those of the code, with what the setting says over them."""

from __future__ import annotations

import difflib
from dataclasses import replace

from app.config import Settings
from app.constants.partitions import POLICIES, PartitionPolicy
from app.constants.retention import ROW_POLICIES


def effective_policies(settings: Settings) -> tuple[dict[str, PartitionPolicy], list[str]]:
    """Return the policy of each partitioned table, and a sentence for each mistake in the setting.

    A limit that the setting does not name stays that of the code.
    """
    policies = dict(POLICIES)
    mistakes = []
    for table, wanted in settings.retention.items():
        if table in policies:
            limits = {
                "keep_days": wanted.days,
                "keep_rows": wanted.rows,
                "keep_bytes": wanted.bytes,
            }
            given = {name: value for name, value in limits.items() if value is not None}
            policies[table] = replace(policies[table], **given)  # type: ignore[arg-type] # ints
        elif table not in ROW_POLICIES:
            mistakes.append(_unknown(table))
    return policies, mistakes


def _unknown(table: str) -> str:
    known = [*POLICIES, *ROW_POLICIES]
    similar = difflib.get_close_matches(table, known, n=1)
    advice = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(sorted(known))}."
    return f"WHALEFALL_RETENTION: {table} is no table that is kept for a time: {advice}"
