"""Which late sessions are asked for again, counted in sessions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from mdagent.market import BarRequest, Interval, Symbol
from mdagent.sessions import Session
from mdagent.store.survey import Answer
from mdagent.work.settle import again

DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(40)]
SESSIONS = [Session(d, datetime(d.year, d.month, d.day, 14, tzinfo=UTC), datetime(d.year, d.month, d.day, 21, tzinfo=UTC)) for d in DAYS]
START, END = SESSIONS[0].opens - timedelta(days=1), SESSIONS[-1].closes
REQUEST = BarRequest(Symbol.parse("AAPL"), Interval.D1, START, END)
ONE = 20  # the session that is looked at


def midnight(place: int) -> datetime:
    return SESSIONS[place].opens.replace(hour=0)


def answered(at: datetime) -> Answer:
    """That one session alone was asked for."""
    return Answer(midnight(ONE), midnight(ONE + 1), at)


def runs(interval: Interval = Interval.D1) -> list[int]:
    """Ages at which a run an hour after each close asks for the session again, each answer being kept."""
    answers, asked = [answered(SESSIONS[ONE].closes - timedelta(hours=1))], []
    for age in range(14):
        over = SESSIONS[ONE + age].closes + timedelta(hours=1)
        request = BarRequest(REQUEST.symbol, interval, START, END)
        if again(request, answers, SESSIONS, over) is not None:
            asked.append(age)
            answers.append(answered(over))
    return asked


def test_a_session_is_asked_for_again_at_its_close_and_one_three_and_seven_sessions_later() -> None:
    assert runs() == [0, 1, 3, 7]
    assert runs(Interval.H1) == [0, 1, 3, 7]


def test_one_that_was_missed_is_caught_up_with_once() -> None:
    answers = [answered(SESSIONS[ONE].closes)]
    late = SESSIONS[ONE + 8].closes + timedelta(hours=1)
    assert again(REQUEST, answers, SESSIONS, late) is not None
    assert again(REQUEST, [*answers, answered(late)], SESSIONS, late + timedelta(days=1)) is None


def test_what_is_old_or_was_never_asked_for_is_left_alone() -> None:
    assert again(REQUEST, [answered(SESSIONS[ONE].closes)], SESSIONS, SESSIONS[ONE + 11].closes) is None
    assert again(REQUEST, [], SESSIONS, SESSIONS[ONE + 1].closes) is None


def test_one_window_holds_all_that_is_due() -> None:
    answers = [Answer(START, END, SESSIONS[ONE].closes + timedelta(hours=1))]
    window = again(REQUEST, answers, SESSIONS, SESSIONS[ONE + 1].closes)
    assert window is not None
    assert (window.start, window.end) == (midnight(ONE - 6), midnight(ONE + 2)), "seven sessions went by since the first of them"
