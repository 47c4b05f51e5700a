"""`mdagent config` writes, shows, checks, compares and publishes settings; data on stdout, talk on stderr."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mdagent.cli.config import app
from mdagent.clock import VirtualClock
from mdagent.config import Flags, template
from mdagent.errors import ConfigError
from mdagent.store.epochs import Epoch, last_epoch
from mdagent.store.ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "CANARY123KEY"


@dataclass
class FakePrompt:
    """What the root command would hand down, with streams that can be read."""

    cwd: Path
    environ: Mapping[str, str]
    flags: Flags = field(default_factory=Flags)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(datetime(2024, 1, 17, tzinfo=UTC)))
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def run(self, *words: str) -> str:
        """stdout of one command; an error comes out as it was raised."""
        self.out, self.err = io.StringIO(), io.StringIO()
        result = CliRunner().invoke(app, words, obj=self, catch_exceptions=False)
        assert result.exit_code == 0
        assert result.stdout == "", "all output goes through the streams that were handed down"
        assert KEY not in self.out.getvalue() + self.err.getvalue()
        return self.out.getvalue()

    def refused(self, *words: str) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.run(*words)
        assert self.out.getvalue() == ""
        assert KEY not in caught.value.message + caught.value.hint
        return caught.value

    @property
    def talk(self) -> str:
        return self.err.getvalue()

    def write(self, text: str, name: str = "mdagent.yaml") -> Path:
        file = self.cwd / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    def epoch(self) -> Epoch | None:
        with open_ledger(self.cwd / "home/ledger.db", self.clock) as ledger:
            return last_epoch(ledger)


@pytest.fixture
def prompt(tmp_path: Path) -> FakePrompt:
    return FakePrompt(tmp_path, MappingProxyType({"MDAGENT_HOME": str(tmp_path / "home")}))


def test_init_writes_the_template_for_its_owner_alone(prompt: FakePrompt) -> None:
    file = prompt.cwd / "home/config.yaml"
    assert prompt.run("init") == f"{file}\n"
    assert file.read_text(encoding="utf-8") == template()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]
    assert prompt.run("check") == f"valid  {file}\n"


def test_init_replaces_a_file_only_by_force(prompt: FakePrompt) -> None:
    file = prompt.write("log: {level: info}", "mine.yaml")
    error = prompt.refused("init", "--path", "mine.yaml")
    assert str(file) in error.message
    assert "--force" in error.hint
    assert file.read_text(encoding="utf-8") == "log: {level: info}"
    prompt.run("init", "--path", "mine.yaml", "--force")
    assert file.read_text(encoding="utf-8") == template()
    assert [path.name for path in prompt.cwd.iterdir()] == ["mine.yaml"]


def test_init_writes_where_config_points(prompt: FakePrompt) -> None:
    prompt.flags = Flags(config=Path("here.yaml"))
    assert prompt.run("init") == f"{prompt.cwd / 'here.yaml'}\n"


def test_init_names_the_place_it_cannot_write(prompt: FakePrompt) -> None:
    prompt.write("", "flat")
    error = prompt.refused("init", "--path", "flat/mdagent.yaml")
    assert f"{prompt.cwd / 'flat/mdagent.yaml'}: the file cannot be written" in error.message
    assert "--path" in error.hint


def test_show_lists_every_setting_and_masks_secrets(prompt: FakePrompt) -> None:
    prompt.environ = {**prompt.environ, "MDAGENT_YAHOO_API_KEY": KEY}
    lines = dict(line.split(maxsplit=1) for line in prompt.run("show").splitlines())
    assert lines["sources.yahoo.timeout.total"] == "15"
    assert lines["sources.yahoo.api_key"].startswith("***")
    assert lines["world"] == "live"


def test_show_tells_the_origin_of_each_setting(prompt: FakePrompt) -> None:
    file = prompt.write("fetch: {deadline: 3}")
    lines = {line.split()[0]: line.split()[1:] for line in prompt.run("show", "--origin").splitlines()}
    assert lines["fetch.deadline"] == ["3", f"{file}:1"]
    assert lines["lock.read_wait"] == ["5", "default"]
    assert lines["home"][1] == "MDAGENT_HOME"


def test_show_as_json_has_a_stable_schema(prompt: FakePrompt) -> None:
    prompt.write("sources: {yahoo: {limits: [{limit: 8, per: 1m}]}}")
    shown = json.loads(prompt.run("show", "--format", "json", "--origin"))
    rows = {row["path"]: row for row in shown["settings"]}
    assert shown["schema_version"] == 1
    assert rows["sources.yahoo.limits"]["value"] == [{"limit": 8, "per": "1m"}]
    assert rows["sources.yahoo.enabled"] == {"path": "sources.yahoo.enabled", "value": True, "origin": "default"}
    assert "origin" not in json.loads(prompt.run("show", "--format", "json"))["settings"][0]


def test_show_as_yaml_can_become_a_settings_file(prompt: FakePrompt) -> None:
    prompt.write(
        "sources: {yahoo: {plan: 'on', limits: [{limit: 8, per: day}]}}\nsessions: {closures: {24/7: [2023-09-01], XHKG: [2023-09-08]}}"
    )
    text = prompt.run("show", "--format", "yaml", "--origin")
    again = prompt.write(text, "again.yaml")
    before = prompt.run("show")
    prompt.flags = Flags(config=again)
    assert prompt.run("show") == before


def test_a_note_goes_to_stderr(prompt: FakePrompt) -> None:
    prompt.write("")
    prompt.run("show")
    assert prompt.talk.startswith("note: ")


def test_check_names_each_file_or_says_that_there_is_none(prompt: FakePrompt) -> None:
    assert prompt.run("check") == ""
    assert "no settings file" in prompt.talk
    assert prompt.run("check", str(prompt.write("log: {level: info}", "x.yaml"))) == f"valid  {prompt.cwd / 'x.yaml'}\n"


def test_check_refuses_an_invalid_file(prompt: FakePrompt) -> None:
    prompt.write("sources: [", "x.yaml")
    assert f"{prompt.cwd / 'x.yaml'}:1" in prompt.refused("check", "x.yaml").message


def test_path_tells_every_place_even_when_the_settings_are_broken(prompt: FakePrompt) -> None:
    rows = [line.split() for line in prompt.run("path").splitlines()]
    home = prompt.cwd / "home"
    assert ["settings", str(home / "config.yaml"), "absent"] in rows
    assert ["store", str(home / "bars.duckdb"), "absent"] in rows
    file = prompt.write("log: [")
    assert ["settings", str(file), "present"] in [line.split() for line in prompt.run("path").splitlines()]
    assert "not valid" in prompt.talk


def test_diff_compares_with_the_defaults_or_with_a_file(prompt: FakePrompt) -> None:
    assert prompt.run("diff") == ""
    assert "no difference from the defaults" in prompt.talk
    prompt.environ = {**prompt.environ, "MDAGENT_FETCH__DEADLINE": "4"}
    assert prompt.run("diff") == "fetch.deadline: 10 -> 4\n"
    prompt.write("fetch: {deadline: 5}", "x.yaml")
    assert prompt.run("diff", "x.yaml") == "fetch.deadline: 5 -> 4\n"


def test_diff_in_the_sandbox_shows_what_was_set_and_not_the_sandbox(prompt: FakePrompt) -> None:
    prompt.flags = Flags(sandbox=True)
    prompt.write("", "x.yaml")
    assert prompt.run("diff") == ""
    assert prompt.run("diff", "x.yaml") == ""


def test_reload_publishes_an_epoch_with_what_changed(prompt: FakePrompt) -> None:
    prompt.write("fetch: {deadline: 5}")
    assert prompt.run("reload") == "fetch.deadline: 10 -> 5\n"
    assert "published epoch 1" in prompt.talk
    prompt.write(f"fetch: {{deadline: 6}}\nsources: {{yahoo: {{api_key: {KEY}}}}}")
    changes = prompt.run("reload").splitlines()
    assert changes[0].startswith("sources.yahoo.api_key: null -> ***")
    assert changes[1:] == ["fetch.deadline: 5 -> 6"]
    epoch = prompt.epoch()
    assert epoch is not None
    assert epoch.number == 2
    assert epoch.flat["fetch.deadline"] == "6"
    assert KEY not in str(epoch)


def test_reload_keeps_the_epoch_when_nothing_changed(prompt: FakePrompt) -> None:
    prompt.run("reload")
    prompt.flags = Flags(quiet=True, log_format="json")
    assert prompt.run("reload") == ""
    assert "nothing changed: epoch 1" in prompt.talk


def test_reload_never_publishes_an_invalid_file(prompt: FakePrompt) -> None:
    prompt.write("fetch: {deadline: 5}")
    prompt.run("reload")
    before = prompt.epoch()
    prompt.write("sources: [")
    prompt.refused("reload")
    assert prompt.epoch() == before


def test_reload_names_a_home_that_cannot_be_written(prompt: FakePrompt) -> None:
    prompt.write("", "flat")
    prompt.environ = {"MDAGENT_HOME": str(prompt.cwd / "flat/home")}
    assert str(prompt.cwd / "flat") in prompt.refused("reload").message
