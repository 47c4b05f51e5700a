"""`mdagent sources enable` and `disable`: at once, for every process on the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.test_sources_status import yahoo

if TYPE_CHECKING:
    from tests.cli.shell import Shell

WHY = "switched off by hand (mdagent sources enable yahoo)"


def of_list(shell: Shell, name: str, **environ: str) -> tuple[bool, str]:
    row = next(row for row in shell.good("sources", "list", "--json", **environ).json if row["source"] == name)
    return row["enabled"], row["disabled_by"]


def test_what_is_disabled_is_told_by_status_and_list_until_it_is_enabled(shell: Shell) -> None:
    said = shell.good("sources", "disable", "yahoo", "polygon")
    assert said.out == ""
    assert said.err.splitlines() == [
        "yahoo is disabled for every process on this machine",
        "polygon is disabled for every process on this machine",
        "mdagent sources enable yahoo polygon takes it back",
    ]
    shell.clock.pause(60)
    row = yahoo(shell)
    assert (row["state"], row["why"], row["since"]) == ("disabled", WHY, "2024-02-05T22:00:00Z")
    assert of_list(shell, "yahoo") == (False, WHY)
    assert of_list(shell, "tiingo") == (True, "")
    said = shell.good("sources", "enable", "yahoo")
    assert said.err == "yahoo is enabled for every process on this machine\n"
    assert yahoo(shell)["state"] == "ready"
    assert of_list(shell, "yahoo") == (True, "")
    assert of_list(shell, "polygon")[0] is False


def test_twice_is_as_good_as_once(shell: Shell) -> None:
    shell.good("sources", "disable", "yahoo")
    assert "yahoo is already disabled" in shell.good("sources", "disable", "yahoo").err
    shell.good("sources", "enable", "yahoo")
    assert "yahoo is already enabled" in shell.good("sources", "enable", "yahoo").err


def test_what_the_settings_disable_no_command_enables(shell: Shell) -> None:
    off = {"MDAGENT_SOURCES__YAHOO__ENABLED": "false"}
    shell.good("sources", "disable", "polygon")
    said = shell.run("sources", "enable", "polygon", "yahoo", **off)
    assert (said.code, said.out) == (2, "")
    assert "yahoo stays disabled: sources.yahoo.enabled is false (set by MDAGENT_SOURCES__YAHOO__ENABLED)" in said.err
    assert "set sources.yahoo.enabled to true there; nothing was changed" in said.err
    assert of_list(shell, "polygon")[0] is False, "all of them or none"
    assert yahoo(shell, **off)["why"] == "sources.yahoo.enabled is false"


def test_a_file_that_disables_is_named_with_its_line(shell: Shell) -> None:
    file = shell.cwd / "mdagent.yaml"
    file.write_text("sources:\n  yahoo:\n    enabled: false\n")
    file.chmod(0o600)
    assert "mdagent.yaml:3)" in shell.run("sources", "enable", "yahoo").err


@pytest.mark.parametrize("command", ["enable", "disable"])
@pytest.mark.parametrize(("words", "told"), [(("polygon", "yaho"), "did you mean yahoo?"), ((), "SOURCE")])
def test_a_wrong_name_is_told_and_nothing_changes(shell: Shell, command: str, words: tuple[str, ...], told: str) -> None:
    said = shell.run("sources", command, *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert of_list(shell, "polygon") == (True, "")


def test_the_list_makes_no_ledger_and_does_without_one_that_cannot_be_read(shell: Shell) -> None:
    shell.good("sources", "list")
    assert shell.files() == set()
    shell.home.mkdir(parents=True)
    (shell.home / "ledger.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    said = shell.good("sources", "list", "--json")
    assert {row["enabled"] for row in said.json} == {True}
    assert "whether a source was disabled by hand is not known: the ledger" in said.err
