"""The README is held to what it says: its examples run, its tables are the code's, its names exist."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

import mdagent
from mdagent.chaos.shipped import SUITES
from mdagent.cli import COMMANDS, app
from mdagent.cli.exits import MEANINGS
from mdagent.cli.hoist import PLAIN, VALUED
from mdagent.cli.render import COLUMNS
from mdagent.cli.sources import COMMANDS as SOURCES_COMMANDS
from mdagent.cli.words import read_requests, read_symbols
from mdagent.config import Flags, load, template
from mdagent.guard.limits import KEPT_BACK
from mdagent.market import Interval
from mdagent.quality.grade import PROVISIONAL_CAP, SINGLE_SOURCE_CAP, WEIGHTS
from mdagent.quality.letters import LETTERS
from mdagent.quality.modes import BALANCED, MODES
from mdagent.sources import NAMES, spec_of
from tests.docs.readme import README, TOP, Shell, blank_times, blocks, commands, parse, steps, table

if TYPE_CHECKING:
    from mdagent.quality.modes import Mode

COMMAND_LINES = {c.text: c for c in commands()}


def _options(command: Any) -> set[str]:
    named = {o for p in command.params for o in p.opts if o.startswith("-")}
    context = typer.Context(command)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        named |= _options(command.get_command(context, name))
    return named | {"-h", "--help"}


# ---- commands


@pytest.mark.parametrize("text", COMMAND_LINES)
def test_every_command_line_parses(text: str, tmp_path: Path) -> None:
    command = COMMAND_LINES[text]
    words = command.words
    if words in (["COMMAND", "--help"], ["--install-completion"]):  # a pattern; and one that would change this machine
        return
    terminal = Shell(tmp_path).terminal(io.StringIO(), io.StringIO())
    try:
        context = parse(words, terminal)
    except typer.Exit:
        assert {"--help", "--version"} & set(words)
        return
    asked = context.params
    if asked.get("symbols") and asked.get("interval") and not any(s.startswith(("@", "-")) for s in asked["symbols"]):
        window = (asked["start"], asked["end"], asked["period"])
        assert read_requests(read_symbols(asked["symbols"], tmp_path), asked["interval"], window, asked["adjust"], terminal)


def test_the_examples_at_the_prompt_print_what_is_shown(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for typed, printed in steps():
        shown = [blank_times(line) for line in printed]
        came = [blank_times(line) for line in shell.type(typed)]
        assert came == shown, f"$ {typed}"


def test_every_example_at_the_prompt_is_of_the_sandbox() -> None:
    typed = [step.typed for step in steps()]
    assert len(typed) > 3
    assert all("--sandbox" in text or text == "echo $?" for text in typed)
    assert "synthetic" in README


def test_every_command_of_the_help_is_in_the_readme() -> None:
    for name in COMMANDS:
        assert re.search(rf"mdagent (--sandbox )?{name}\b", README), name


def test_every_command_about_sources_is_in_the_readme() -> None:
    told = README.partition("## Sources")[2].partition("## The report")[0]
    for name in SOURCES_COMMANDS:
        assert re.search(rf"`(mdagent sources )?{name}\b", told), name


def test_every_option_in_the_readme_exists() -> None:
    known = {*_options(typer.main.get_command(app)), *VALUED, *PLAIN, "--version", "--install-completion"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert named <= known, named - known


def test_every_source_there_is_is_told_with_its_plan_and_basis() -> None:
    rows = {name: cells for name, *cells in table("| source | key | stored as | free plan | what to know |")}
    assert set(rows) == set(NAMES)
    for name, (key, stored, *_) in rows.items():
        spec = spec_of(name)
        assert key == ("yes" if spec.needs_key else "none"), name
        assert stored.split(",")[0] == spec.intervals[Interval.D1].delivers[0], name


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_examples_run(number: int, tmp_path: Path) -> None:
    code = blocks("python")[number].text
    environ = {**os.environ, "HOME": str(tmp_path), "MDAGENT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(TOP)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "yahoo USD" in ran.stdout


# ---- tables and figures


def test_the_exit_codes_are_those_of_the_program() -> None:
    cells = [row[n : n + 2] for row in table("| code | meaning | code | meaning | code | meaning |") for n in (0, 2, 4) if row[n]]
    assert sorted((int(code), meaning) for code, meaning in cells) == [(int(c), m) for c, m in MEANINGS.items()]


def test_the_columns_are_those_of_the_output() -> None:
    assert f"`{', '.join(COLUMNS)}`" in README


def test_the_weights_are_those_of_the_grade() -> None:
    rows = table("| dimension | weight | what lowers it |")
    assert [(name, float(weight)) for name, weight, _ in rows] == list(WEIGHTS)


def test_the_letters_are_those_of_the_grade() -> None:
    line = README.partition("Letters, by the lowest score of each:")[2].partition(". ")[0]
    assert [(name, float(score)) for name, score in re.findall(r"([A-F][+-]?) (\d+)", line)] == list(LETTERS)


def test_the_ceilings_are_those_of_the_grade() -> None:
    assert f"{SINGLE_SOURCE_CAP:.0f} while no second source has confirmed a series, {PROVISIONAL_CAP:.0f} for a provisional bar" in README
    assert f"more than {BALANCED.refuse:.0%} of an answer".replace("%", " %") in README


def _told(mode: Mode) -> list[str]:
    """A row of the table of modes."""
    heard = f"{mode.sources} needed" if mode.sources > 1 else "heard" if mode.consensus else "no"
    refuses = f"{mode.refuse:.0%} bad rows".replace("%", " %") if mode.refuse < 1 else "never"
    asked = f"{round(1 / mode.strictness, 1):g} x"
    return [mode.name, *("yes" if on else "no" for on in (mode.rows, mode.anomalies)), heard, asked, refuses, mode.floor or "none"]


def test_the_modes_are_those_of_the_judgement() -> None:
    heading = "| mode | rows | anomalies | other sources | evidence asked | refuses all from | lowest grade |"
    assert table(heading) == [_told(mode) for mode in MODES.values()]


def test_what_a_class_leaves_to_those_above_it_is_that_of_the_limits() -> None:
    told = {name: float(share) / 100 for name, share in re.findall(r"`(normal|low|batch)`(?: leaves)? (\d+) %", README)}
    assert told == {priority.name.lower(): kept for priority, kept in KEPT_BACK.items() if kept}


MARK = "<!-- printed by benchmarks/chaos.py -->"


def test_the_table_of_experiments_is_that_of_the_standard_suite() -> None:
    """Both are printed by `make chaos`; whoever adds an experiment runs it."""
    cells = [cell for row in table(f"|{' experiment, verdict, answered |' * 4}") for cell in row if cell]
    told = [re.fullmatch(r"(\S+) held \d+/\d+", cell) for cell in cells]
    assert [found and found[1] for found in told] == list(SUITES["standard"])
    full = (TOP / "docs" / "chaos.md").read_text(encoding="utf-8").split(MARK)[1]
    assert re.findall(r"^\| ([a-z][a-z0-9-]*) \|", full, re.MULTILINE) == ["experiment", *SUITES["standard"]]
    for name, _, answered in map(str.split, cells):
        assert re.search(rf"^\| {name} \| [^|]+ \| held \| {answered} \|", full, re.MULTILINE), name


# ---- settings


def test_every_variable_in_the_readme_exists(tmp_path: Path) -> None:
    named = set(re.findall(r"\bMDAGENT_[A-Z_]*[A-Z]", README.replace("<SOURCE>", NAMES[0].upper())))
    assert "MDAGENT_HOME" in named
    load(Flags(), {**dict.fromkeys(named, ""), "HOME": str(tmp_path)}, tmp_path)


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_the_settings_shown_are_valid(number: int, tmp_path: Path) -> None:
    (tmp_path / "mdagent.yaml").write_text(blocks("yaml")[number].text, encoding="utf-8")
    load(Flags(env="prod"), {"HOME": str(tmp_path)}, tmp_path)


def test_the_example_of_settings_is_the_template() -> None:
    assert (TOP / "config.example.yaml").read_text(encoding="utf-8") == template()


def test_config_init_prints_the_template_and_writes_nothing(tmp_path: Path) -> None:
    assert "\n".join(Shell(tmp_path).type("mdagent config init --stdout")) + "\n" == template()
    assert not list(tmp_path.iterdir())


# ---- the house


def test_the_map_shows_what_exists_and_every_room() -> None:
    shown = {line.split()[0] for line in blocks("text")[0].text.splitlines()}
    assert not [name for name in shown if not (TOP / name).exists() and name != "benchmarks/"]
    rooms = {f"{path.parent.relative_to(TOP)}/" for path in TOP.glob("mdagent/**/__init__.py")} - {"mdagent/"}
    assert rooms <= shown, rooms - shown


def test_every_target_of_make_in_the_readme_exists() -> None:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+)(?=`|  |\n)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert not [link for link in links if not (TOP / link).exists()]


def test_the_changelog_tells_of_this_version() -> None:
    changelog = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{mdagent.__version__}]" in changelog
    for name in COMMANDS:
        assert f"`{name}`" in changelog, name


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert README.count("\n") <= 230
    assert max(map(len, README.splitlines())) <= 150
