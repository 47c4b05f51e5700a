"""What the windows count of a ledger, against a count of the same rows one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from mdagent.clock import VirtualClock
from mdagent.guard.limits import Usage, Window, span
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import us, usage

if TYPE_CHECKING:
    from mdagent.store.quota import Db

NOW = datetime(2024, 3, 9, 22, 0, tzinfo=UTC)
ME = ("parrot:1111", "parrot")
windows = st.lists(
    st.builds(
        Window,
        st.just(10),
        st.sampled_from([1.0, 60.0, 7200.0, "day", "month"]),
        st.sampled_from(["UTC", "America/New_York"]),
        st.sampled_from(["credits", "requests"]),
    ),
    max_size=3,
)
SECONDS = st.one_of(
    st.integers(-10, 200_000), st.integers(79_000, 79_400), st.integers(-3_000_000, 3_000_000)
)  # ago; some round a midnight
rows = st.lists(st.tuples(SECONDS, st.integers(0, 4), st.one_of(st.none(), SECONDS)), max_size=12)


def put(db: Db, at: datetime, cost: int, stamp: datetime | None = None, noticed: datetime | None = None) -> None:
    columns = "at, source, account, endpoint, host, run, subject, cost, state, stamp, noticed"
    times = [us(t) if t else None for t in (stamp, noticed)]
    db.execute(f"INSERT INTO attempts ({columns}) VALUES (?,?,?,'bars','','','',?,'settled',?,?)", (us(at), *reversed(ME), cost, *times))


@example([Window(10, "day", "America/New_York")], [(-25261, 1, 61260)], NOW)  # noticed before the day, and dated in the next
@given(windows, rows, st.sampled_from([NOW, datetime(2024, 3, 10, 0, 0, 30, tzinfo=UTC), datetime(2024, 3, 9, 23, 59, 30, tzinfo=UTC)]))
def test_each_window_counts_the_rows_that_are_in_it(windows: list[Window], rows: list[tuple[int, int, int | None]], now: datetime) -> None:
    """Now, and when it has begun anew."""
    with TemporaryDirectory() as folder, open_ledger(Path(folder) / "ledger.db", VirtualClock(now)) as ledger:
        told = list[Usage]()
        for ago, cost, other in rows:
            at, second = now - timedelta(seconds=ago), now - timedelta(seconds=other) if other is not None else None
            early = at > now + timedelta(seconds=5)
            noticed = second if early and second and second <= now else None
            ledger.reading(partial(put, at=at, cost=cost, stamp=None if early else second, noticed=noticed))
            if cost:
                dated = at if early and noticed else None if early else second
                told.append(Usage(noticed or at, cost, dated=dated))
        counted = ledger.reading(lambda db: usage(db, ME, windows, now))
    assert [u.at for u in counted] == sorted(u.at for u in counted)
    for window in windows:
        for moment in (now, span(window, now)[1]):
            assert window.counted(counted, moment) == window.counted(told, moment), (window, moment)


def test_what_only_days_count_is_read_as_one_sum(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db", VirtualClock(NOW)) as ledger:
        for minutes in range(1, 500):
            ledger.reading(partial(put, at=NOW - timedelta(minutes=minutes), cost=2))
        counted = ledger.reading(lambda db: usage(db, ME, (Window(8, 60.0), Window(800, "day")), NOW))
    assert [(u.cost, u.requests) for u in counted] == [(2 * 498, 498), (2, 1)]
