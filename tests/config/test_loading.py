"""Flags win over variables, variables over the project's file, that over the user's, and defaults come last."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mdagent.config import Flags, Loaded, Settings, defaults, diff, fingerprint, flatten, load, plain, prepare_home, template
from mdagent.errors import ConfigError, UsageError

TOP = Path(__file__).parents[2]


class Desk:
    """A folder with a user's file, a project's file and a home."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.cwd = folder / "project"
        self.cwd.mkdir()
        self.home.mkdir()
        self.environ = {"MDAGENT_HOME": str(self.home)}

    def user(self, text: str) -> Path:
        return self._put(self.home / "config.yaml", text)

    def project(self, text: str, name: str = "mdagent.yaml") -> Path:
        return self._put(self.cwd / name, text)

    @staticmethod
    def _put(file: Path, text: str) -> Path:
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    def load(self, flags: Flags | None = None, **environ: str) -> Loaded:
        return load(flags or Flags(), {**self.environ, **environ}, self.cwd)

    def settings(self, flags: Flags | None = None, **environ: str) -> Settings:
        return self.load(flags, **environ).settings

    def refusal(self, flags: Flags | None = None, **environ: str) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.load(flags, **environ)
        return caught.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_each_layer_wins_over_the_one_below(desk: Desk) -> None:
    assert desk.settings().log.format == "text"
    desk.user("log: {format: json, level: info}\nfetch: {deadline: 7}")
    assert desk.settings().log.format == "json"
    desk.project("log: {format: text}")
    assert (desk.settings().log.format, desk.settings().log.level, desk.settings().fetch.deadline) == ("text", "info", 7.0)
    assert desk.settings(MDAGENT_LOG_FORMAT="json").log.format == "json"
    assert desk.settings(Flags(log_format="text"), MDAGENT_LOG_FORMAT="json").log.format == "text"


def test_each_setting_tells_its_origin(desk: Desk) -> None:
    user = desk.user("log:\n  level: info\nfetch: {deadline: 7}")
    project = desk.project("fetch: {deadline: 8}\nenvironments:\n  dev:\n    lock: {read_wait: 1}\n")
    loaded = desk.load(Flags(store=Path("x.duckdb"), env="dev"), MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTAL="3")
    assert loaded.origins["log.level"] == f"{user}:2"
    assert loaded.origins["fetch.deadline"] == f"{project}:1"
    assert loaded.origins["lock.read_wait"] == f"{project}:4 (environments.dev)"
    assert loaded.origins["store"] == "--store"
    assert loaded.origins["environment"] == "--env"
    assert loaded.origins["sources.yahoo.timeout.total"] == "MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTAL"
    assert loaded.origins["lock.write_wait"] == "default"
    assert loaded.origins["home"] == "MDAGENT_HOME"
    assert loaded.files == (user, project)


@pytest.mark.parametrize("named_by", ["flag", "variable"])
def test_a_file_named_replaces_both_files(desk: Desk, named_by: str) -> None:
    desk.user("log: {level: info}")
    desk.project("log: {format: json}")
    other = desk.project("fetch: {deadline: 3}", "other.yaml")
    got = desk.load(Flags(config=Path("other.yaml"))) if named_by == "flag" else desk.load(MDAGENT_CONFIG=str(other))
    assert got.files == (other,)
    assert (got.settings.log.level, got.settings.log.format, got.settings.fetch.deadline) == ("warning", "text", 3.0)


def test_a_file_named_and_missing_is_an_error(desk: Desk) -> None:
    assert str(desk.cwd / "none.yaml") in desk.refusal(Flags(config=Path("none.yaml"))).message
    assert "Is a directory" in desk.refusal(Flags(config=Path())).message


def test_two_project_files_are_an_error(desk: Desk) -> None:
    desk.project("", ".mdagent.yaml")
    assert desk.load().files == (desk.cwd / ".mdagent.yaml",)
    desk.project("")
    assert "two project files" in desk.refusal().message


def test_an_environment_is_laid_deep_over_its_file_and_under_the_next(desk: Desk) -> None:
    desk.user(
        "sources: {yahoo: {timeout: {total: 20, read: 5}}}\n"
        "environments:\n  dev: {sources: {yahoo: {timeout: {total: 3}}}, fetch: {deadline: 2}}\n  prod: {}\n"
    )
    desk.project("fetch: {deadline: 9}")
    plain_ = desk.settings()
    dev = desk.settings(MDAGENT_ENV="dev")
    assert plain_.sources["yahoo"].timeout.total == 20
    assert (dev.sources["yahoo"].timeout.total, dev.sources["yahoo"].timeout.read, dev.fetch.deadline) == (3, 5, 9)
    assert dev.environment == "dev"
    assert desk.settings(Flags(env="prod"), MDAGENT_ENV="dev").environment == "prod"


def test_an_unknown_environment_is_an_error_with_the_nearest_name(desk: Desk) -> None:
    assert "no settings file was found" in desk.refusal(Flags(env="dev")).message
    desk.project("environments: {staging: {}, prod: {}}")
    error = desk.refusal(MDAGENT_ENV="stagin")
    assert "'stagin'" in error.message
    assert error.hint == "did you mean staging?"


@pytest.mark.parametrize(
    "text",
    ["environments: {dev: {environments: {}}}", "environments: {dev: {nonsense: 1}}", "environments: {dev: {fetch: {deadline: -1}}}"],
)
def test_an_environment_not_chosen_is_checked_all_the_same(desk: Desk, text: str) -> None:
    desk.project(text)
    assert "environments.dev" in desk.refusal().message


@pytest.mark.parametrize("name", ["1st", "a b", "-x"])
def test_an_environment_has_a_plain_name(desk: Desk, name: str) -> None:
    desk.project(f"environments: {{'{name}': {{}}}}")
    assert "cannot name an environment" in desk.refusal().message


def test_an_unknown_variable_is_an_error_with_the_nearest_name(desk: Desk) -> None:
    error = desk.refusal(MDAGENT_SANBOX="1")
    assert "'MDAGENT_SANBOX'" in error.message
    assert error.hint == "did you mean MDAGENT_SANDBOX?"
    assert desk.refusal(MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTALL="1").hint == "did you mean MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTAL?"
    assert desk.refusal(MDAGENT_YAHO_API_KEY="CANARY").hint == "did you mean MDAGENT_YAHOO_API_KEY?"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e400", "", " "])
def test_a_variable_is_checked_as_a_file_is_and_an_empty_one_says_nothing(desk: Desk, value: str) -> None:
    if not value.strip():
        assert desk.settings(MDAGENT_FETCH__DEADLINE=value).fetch.deadline == 10
    else:
        assert "MDAGENT_FETCH__DEADLINE: fetch.deadline is " in desk.refusal(MDAGENT_FETCH__DEADLINE=value).message


def test_two_variables_for_one_setting_are_an_error(desk: Desk) -> None:
    assert "set the same thing" in desk.refusal(MDAGENT_LOG_LEVEL="info", MDAGENT_LOG__LEVEL="debug").message


def test_a_flag_is_checked_as_a_file_is(desk: Desk) -> None:
    assert "--log-format: log.format is 'xml'" in desk.refusal(Flags(log_format="xml")).message


def test_paths_count_from_the_file_or_the_folder_that_names_them(desk: Desk) -> None:
    desk.user("store: data/b.duckdb\nlog: {file: ~/m.log}")
    got = desk.settings(HOME="/home/someone")
    assert got.store == desk.home / "data/b.duckdb"
    assert got.log.file == Path("/home/someone/m.log")
    assert desk.settings(Flags(store=Path("../b.duckdb"))).store == desk.cwd.parent / "b.duckdb"


def test_the_home_moves_everything(desk: Desk) -> None:
    got = desk.settings()
    assert (got.home, got.store, got.ledger) == (desk.home, desk.home / "bars.duckdb", desk.home / "ledger.db")


def test_without_a_home_the_xdg_folders_are_used(tmp_path: Path) -> None:
    environ = {"HOME": "/home/someone", "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": "relative/is/ignored"}
    (tmp_path / "mdagent").mkdir()
    (tmp_path / "mdagent/config.yaml").write_text("log: {level: info}")
    got = load(Flags(), environ, tmp_path)
    assert got.files == (tmp_path / "mdagent/config.yaml",)
    assert got.settings.home == Path("/home/someone/.local/share/mdagent")


def test_sandbox_and_replay_have_homes_of_their_own(desk: Desk) -> None:
    sandbox, replay = desk.settings(Flags(sandbox=True)), desk.settings(Flags(replay=desk.cwd))
    assert (sandbox.world, sandbox.store, sandbox.ledger) == ("sandbox", desk.home / "sandbox/bars.duckdb", desk.home / "sandbox/ledger.db")
    assert (replay.world, replay.home, replay.replay) == ("replay", desk.home / "replay", desk.cwd)
    assert desk.settings(MDAGENT_SANDBOX="1").world == "sandbox"
    assert desk.settings(MDAGENT_SANDBOX="0").world == "live"
    assert desk.settings(MDAGENT_REPLAY=str(desk.cwd)).world == "replay"


def test_one_world_is_chosen_flags_first(desk: Desk) -> None:
    assert desk.settings(Flags(sandbox=True), MDAGENT_REPLAY=str(desk.cwd)).world == "sandbox"
    assert desk.settings(Flags(replay=desk.cwd), MDAGENT_SANDBOX="1").world == "replay"
    assert "exclude each other" in desk.refusal(MDAGENT_SANDBOX="1", MDAGENT_REPLAY="x").message
    assert "MDAGENT_SANDBOX is 'maybe'" in desk.refusal(MDAGENT_SANDBOX="maybe").message
    with pytest.raises(UsageError, match="exclude each other"):
        desk.load(Flags(sandbox=True, replay=desk.cwd))


def test_a_replay_needs_its_folder_and_records_nothing(desk: Desk) -> None:
    assert "no folder" in desk.refusal(Flags(replay=Path("none"))).message
    with pytest.raises(UsageError, match="cannot be used in a replay"):
        desk.load(Flags(replay=desk.cwd, record=Path("new")))
    assert "MDAGENT_RECORD" in desk.refusal(Flags(replay=desk.cwd), MDAGENT_RECORD="new").message
    assert desk.settings(MDAGENT_RECORD="new").record == desk.cwd / "new"


@pytest.mark.parametrize("text", ["2024-01-17T00:00:00Z", "2024-01-17", "2024-01-17T01:00:00+01:00"])
def test_the_clock_is_set_in_the_sandbox(desk: Desk, text: str) -> None:
    assert desk.settings(Flags(sandbox=True), MDAGENT_CLOCK=text).clock == datetime(2024, 1, 17, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "1969-12-31", "2100-01-01", "0001-01-01T00:00:00+14:00", "17"])
def test_the_clock_must_be_an_instant(desk: Desk, text: str) -> None:
    assert "MDAGENT_CLOCK" in desk.refusal(Flags(sandbox=True), MDAGENT_CLOCK=text).message


def test_the_clock_of_the_live_world_is_never_set(desk: Desk) -> None:
    assert "only in the sandbox and in a replay" in desk.refusal(MDAGENT_CLOCK="2024-01-17").message


@pytest.mark.parametrize(
    ("flags", "environ", "told"),
    [
        (Flags(), {}, (False, 0, "warning")),
        (Flags(quiet=True), {}, (True, 0, "error")),
        (Flags(verbose=1), {}, (False, 1, "info")),
        (Flags(verbose=2), {"MDAGENT_QUIET": "1"}, (False, 2, "debug")),
        (Flags(verbose=1), {"MDAGENT_LOG_LEVEL": "error"}, (False, 1, "info")),
        (Flags(), {"MDAGENT_QUIET": "1"}, (True, 0, "error")),
        (Flags(), {"MDAGENT_VERBOSE": "true"}, (False, 1, "info")),
        (Flags(), {"MDAGENT_VERBOSE": "2", "MDAGENT_LOG_LEVEL": "error"}, (False, 2, "error")),
    ],
)
def test_quiet_and_verbose_set_the_level_of_the_log(desk: Desk, flags: Flags, environ: dict[str, str], told: tuple[bool, int, str]) -> None:
    got = desk.settings(flags, **environ)
    assert (got.quiet, got.verbose, got.log.level) == told


def test_verbose_is_a_small_number(desk: Desk) -> None:
    assert "MDAGENT_VERBOSE is '99'" in desk.refusal(MDAGENT_VERBOSE="99").message


@pytest.mark.parametrize(
    ("environ", "flags", "color"),
    [
        ({}, Flags(), "auto"),
        ({"NO_COLOR": "1"}, Flags(), "never"),
        ({"FORCE_COLOR": "1"}, Flags(), "always"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, Flags(), "never"),
        ({"NO_COLOR": "", "TERM": "dumb"}, Flags(), "never"),
        ({"MDAGENT_NO_COLOR": "1"}, Flags(), "never"),
        ({"MDAGENT_NO_COLOR": "0"}, Flags(), "auto"),
        ({"FORCE_COLOR": "1"}, Flags(no_color=True), "never"),
        ({"NO_COLOR": "1", "MDAGENT_COLOR": "always"}, Flags(), "always"),
    ],
)
def test_color_follows_the_customs_of_the_shell(desk: Desk, environ: dict[str, str], flags: Flags, color: str) -> None:
    assert desk.settings(flags, **environ).color == color


def test_loading_writes_nothing(desk: Desk) -> None:
    desk.settings(Flags(sandbox=True, record=Path("r"), log_file=Path("l/x.log")))
    assert [*desk.home.iterdir(), *desk.cwd.iterdir()] == []


def test_a_home_that_cannot_be_made_is_named_with_the_option_that_moves_it(desk: Desk) -> None:
    (desk.cwd / "flat").touch()
    for flags, environ, word in (
        (Flags(), {"MDAGENT_HOME": str(desk.cwd / "flat/home")}, "MDAGENT_HOME"),
        (Flags(store=Path("flat/b.duckdb")), {}, "--store"),
        (Flags(log_file=Path("flat/x.log")), {}, "--log-file"),
    ):
        with pytest.raises(ConfigError) as caught:
            prepare_home(desk.settings(flags, **environ))
        assert str(desk.cwd / "flat") in caught.value.message
        assert word in caught.value.hint


def test_a_home_is_made_for_its_owner_alone(desk: Desk) -> None:
    settings = desk.settings(Flags(sandbox=True))
    prepare_home(settings)
    assert settings.home.stat().st_mode & 0o777 == 0o700


def test_secrets_are_masked_when_flat_and_a_new_one_is_still_seen(desk: Desk) -> None:
    old = desk.settings(MDAGENT_YAHOO_API_KEY="CANARY1", MDAGENT_WIRE__PROXY="http://me:CANARY1@127.0.0.1:1")
    new = desk.settings(MDAGENT_YAHOO_API_KEY="CANARY2", MDAGENT_WIRE__PROXY="http://me:CANARY2@127.0.0.1:1")
    changes = diff(old, new)
    assert [change.path for change in changes] == ["sources.yahoo.api_key", "wire.proxy"]
    assert "CANARY" not in f"{changes}{flatten(old)}{plain(old)}{old}{fingerprint(old)}"
    assert fingerprint(old) != fingerprint(new)


def test_the_difference_names_path_old_and_new(desk: Desk) -> None:
    text = "[{limit: 8, per: 1m}, {limit: 800, per: day, zone: UTC}]"
    (change,) = diff(desk.settings(), desk.settings(MDAGENT_SOURCES__YAHOO__LIMITS=text))
    assert (change.path, change.old, change.new) == ("sources.yahoo.limits", "null", text)


def test_the_fingerprint_is_that_of_the_settings_and_not_of_the_run(desk: Desk) -> None:
    base = fingerprint(desk.settings())
    assert base == fingerprint(desk.settings(Flags(record=Path("r"))))
    assert base != fingerprint(desk.settings(MDAGENT_FETCH__DEADLINE="11"))


def test_the_template_decodes_to_the_defaults(desk: Desk) -> None:
    desk.project(template())
    loaded = desk.load()
    assert loaded.settings == defaults(Flags(), desk.environ, desk.cwd)
    in_file = set(flatten(loaded.settings, shared=True))
    one_of_each = {path for path in in_file if not path.startswith("sources.") or path.startswith("sources.yahoo.")}
    assert {path for path, origin in loaded.origins.items() if origin != "default"} == one_of_each | {"home", "ledger"}, (
        "it names every setting, those of a source once"
    )
    assert loaded.notes == ()


def test_the_example_in_the_repository_is_the_template() -> None:
    assert (TOP / "config.example.yaml").read_text(encoding="utf-8") == template()


def test_every_setting_of_the_template_says_what_it_does() -> None:
    lines = [line for line in template().splitlines() if line.strip() and not line.strip().startswith("#") and not line.endswith(":")]
    assert [line for line in lines if "  # " not in line and line != "environments: {}"] == []


def test_a_new_source_is_known_everywhere_by_its_name_alone(desk: Desk) -> None:
    desk.project("sources: {demo: {plan: free}}")
    environ = {**desk.environ, "MDAGENT_DEMO_API_KEY": "k", "MDAGENT_SOURCES__DEMO__CONCURRENCY": "3"}
    demo = load(Flags(), environ, desk.cwd, sources=("yahoo", "demo")).settings.sources["demo"]
    assert (demo.plan, demo.concurrency) == ("free", 3)
    assert demo.api_key is not None


def test_importing_settings_loads_nothing_heavy() -> None:
    heavy: Any = ("yaml", "platformdirs", "watchdog", "difflib", "json", "typer", "zoneinfo", "hashlib", "asyncio", "numpy")
    code = f"import sys; before = set(sys.modules); import mdagent.config; print(sorted((set(sys.modules) - before) & set({heavy!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP, env={**os.environ})
    assert done.stdout.strip() == "[]"
