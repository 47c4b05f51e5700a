"""`mdagent sources probe`: does it answer, is the key good, what does the plan include?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.sources import NAMES, spec_of

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell

LIVE = {"MDAGENT_SANDBOX": ""}
KEYED = [name for name in NAMES if spec_of(name).needs_key]
RETIRED = [name for name in NAMES if spec_of(name).retired(datetime(2026, 11, 24, tzinfo=UTC).date())]
HEADER = "source,key,entitled,status,latency_ms,clock_skew_s,quota_left,verdict"


def of(said: Said, name: str) -> dict[str, str]:
    return next(row for row in said.rows if row["source"] == name)


def test_every_source_of_the_sandbox_answers(shell: Shell) -> None:
    said = shell.good("sources", "probe", "--csv")
    assert said.out.splitlines()[0] == HEADER
    assert [row["source"] for row in said.rows] == list(NAMES)
    for row in said.rows:
        assert (row["entitled"], row["status"], row["clock_skew_s"], row["verdict"]) == ("yes", "200", "0", "ready")
        assert row["key"] == ("valid" if row["source"] in KEYED else "not needed")


def test_the_named_alone_are_asked_each_once(shell: Shell) -> None:
    assert [row["source"] for row in shell.good("sources", "probe", "yahoo", "yahoo", "--csv").rows] == ["yahoo"]
    status = shell.good("sources", "status", "--csv")
    assert {row["source"]: row["sent_1h"] for row in status.rows} == {name: "1" if name == "yahoo" else "0" for name in NAMES}


@pytest.mark.parametrize("name", KEYED)
def test_a_wrong_key_is_refused_and_does_not_stop_the_others(shell: Shell, name: str) -> None:
    said = shell.run("sources", "probe", name, "yahoo", "--csv", **{f"MDAGENT_{name.upper()}_API_KEY": "canary-4711-key"})
    assert said.code == 11
    assert (of(said, name)["key"], of(said, name)["entitled"]) == ("refused", "")
    assert of(said, name)["verdict"].startswith("AUTH: ")
    assert of(said, "yahoo")["verdict"] == "ready"
    assert f"mdagent: {name}: AUTH: " in said.err
    assert "canary" not in said.out + said.err


@pytest.mark.parametrize("name", KEYED)
def test_the_plan_of_a_new_user_can_be_probed_too(shell: Shell, name: str) -> None:
    plan = spec_of(name).plans[0].name
    row = of(shell.good("sources", "probe", name, "--csv", **{f"MDAGENT_SOURCES__{name.upper()}__PLAN": plan}), name)
    assert (row["key"], row["entitled"]) == ("valid", "yes"), row["verdict"]


@pytest.mark.parametrize("name", [n for n in KEYED if n not in RETIRED])
def test_a_source_named_without_its_key_is_told_with_the_variable(shell: Shell, name: str) -> None:
    said = shell.run("sources", "probe", name, "--csv", **LIVE)
    assert said.code == 11
    assert (of(said, name)["key"], of(said, name)["status"]) == ("missing", "")
    assert said.err == f"mdagent: {name}: no key\n  → set MDAGENT_{name.upper()}_API_KEY\n"


@pytest.mark.parametrize("name", RETIRED)
def test_a_retired_source_is_refused_in_the_live_world_and_answers_in_the_sandbox(shell: Shell, name: str) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    said = shell.run("sources", "probe", name, "--csv", **LIVE, **{f"MDAGENT_{name.upper()}_API_KEY": "k" * 20})
    assert (said.code, of(said, name)["status"]) == (4, "")
    assert "retired" in of(said, name)["verdict"]
    assert of(shell.good("sources", "probe", name, "--csv"), name)["verdict"] == "ready"


def test_a_spent_quota_is_kept_and_told(shell: Shell) -> None:
    limits = {"MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 1, per: 1h}]"}
    shell.good("sources", "probe", "yahoo", **limits)
    said = shell.run("sources", "probe", "yahoo", "--csv", **limits)
    assert said.code == 4
    assert of(said, "yahoo")["verdict"].startswith("THROTTLED: ")


def test_without_any_source_to_ask_that_is_said(shell: Shell) -> None:
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    said = shell.run("sources", "probe", "--csv", **off)
    assert (said.code, said.out) == (4, HEADER + "\n")
    assert "no source is enabled and has its key" in said.err


def test_those_without_a_key_are_named_where_all_were_meant(shell: Shell) -> None:
    said = shell.run("sources", "probe", "--csv", **LIVE, MDAGENT_SOURCES__YAHOO__BASE_URL="http://127.0.0.1:9")
    assert [row["source"] for row in said.rows] == ["yahoo"]
    assert f"not asked: {', '.join(KEYED)} (mdagent sources status tells what each one lacks)" in said.err
    assert "not asked" not in shell.run("sources", "probe", "--quiet", **LIVE, MDAGENT_SOURCES__YAHOO__BASE_URL="http://127.0.0.1:9").err
    assert "not asked" not in shell.good("sources", "probe").err


@pytest.mark.parametrize("words", [("nobody",), ("--format", "sideways"), ("yahoo", "--json", "--csv"), ("--format", "parquet")])
def test_a_wrong_word_is_told_before_anything_is_spent(shell: Shell, words: tuple[str, ...]) -> None:
    said = shell.run("sources", "probe", *words)
    assert (said.code, said.out) == (2, "")
    assert not shell.files()


def test_a_program_gets_numbers_and_nulls(shell: Shell) -> None:
    (row,) = shell.good("sources", "probe", "yahoo", "--json").json
    assert (row["status"], row["clock_skew_s"], row["quota_left"]) == (200, 0, "")
    assert isinstance(row["latency_ms"], int | float)


def test_nothing_of_a_probe_enters_the_store(shell: Shell) -> None:
    shell.good("sources", "probe", "yahoo")
    assert not (shell.home / "bars.duckdb").exists()
