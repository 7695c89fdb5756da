"""Daily sizes as the model wants them, and whether there is enough of them to say anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.services.forecast.change_points import Bools, Floats, Ints

HISTORY_DAYS = 400
LEAST_DAYS = 14
LEAST_SAMPLES = 10
LEAST_SHARE = 0.1
"""Of the days since the first sample, so many need one."""
OLDEST_DAYS = 3
"""A last sample older than this, and than two of the usual gaps, says nothing about now."""


@dataclass(frozen=True)
class Histories:
    """The past of some objects, each up to its own last sample."""

    sizes: Floats
    """(objects, HISTORY_DAYS) of bytes: right-aligned, NaN is a day without a sample."""
    last_day: Ints
    """(objects,): the day of the last sample, of HISTORY_DAYS; -1: there is none."""
    days: Ints
    """(objects,): from the first sample to the last one, both counted."""
    samples: Ints
    """(objects,)."""
    unknown_since: Ints
    """(objects,): the first day after the last sample on which it was there without a size; -1: no
    such day."""


def histories(object_ids: Sequence[int], records: NDArray[Any]) -> Histories:
    """Return the records of ``daily_sizes``, by object in the order of the ids (sorted)."""
    count = len(object_ids)
    sizes = np.full((count, HISTORY_DAYS), np.nan)
    unsized = np.zeros((count, HISTORY_DAYS), dtype=bool)
    ids = np.asarray(object_ids, dtype=np.int64)
    row: Ints = np.asarray(np.searchsorted(ids, np.asarray(records["object_id"], dtype=np.int64)))
    known: Bools = np.asarray(records["bytes"] >= 0)
    sizes[row[known], records["day"][known]] = records["bytes"][known]
    unsized[row[~known], records["day"][~known]] = True
    observed: Bools = np.isfinite(sizes)
    some: Bools = np.asarray(observed.any(axis=1))
    last = np.where(some, HISTORY_DAYS - 1 - np.argmax(observed[:, ::-1], axis=1), -1)
    first = np.where(some, np.argmax(observed, axis=1), 0)
    columns = np.arange(HISTORY_DAYS)
    after = unsized & (columns > last[:, None])
    since = np.where(after.any(axis=1), np.argmax(after, axis=1), -1)
    source = columns - (HISTORY_DAYS - 1 - last)[:, None]
    aligned = np.take_along_axis(sizes, np.maximum(source, 0), axis=1)
    aligned = np.where((source >= 0) & some[:, None], aligned, np.nan)
    return Histories(
        aligned, last, np.where(some, last - first + 1, 0), observed.sum(axis=1), since
    )
