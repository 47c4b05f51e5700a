"""What the project says of itself is true, and every exception has a reason."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import mdagent
from tests.architecture.trees import TOP, metadata

PROMISED = {"help", "demo", "test", "check", "bench", "drill", "chaos", "mutants", "fuzz", "docs", "lock", "clean"}


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def test_the_version_has_one_home_and_the_changelog_begins_with_it() -> None:
    project = metadata()["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert metadata()["tool"]["hatch"]["version"]["path"] == "mdagent/__init__.py"
    headings = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == mdagent.__version__


def entries_without_reason(text: str, key: str) -> list[str]:
    """The lines of the arrays of that TOML key that hold an entry and no comment."""
    arrays = re.findall(rf"^{key} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for array in arrays for line in array.splitlines() if not re.search(r'",\s*# \w', line)]


def test_a_missing_reason_is_seen() -> None:
    assert entries_without_reason('ignore = [\n  "A1", # why\n  "A2",\n]\n', "ignore") == ['"A2",']


def test_every_rule_of_ruff_that_is_off_says_why() -> None:
    text = read("pyproject.toml")
    assert "\nignore = [\n" in text
    assert entries_without_reason(text, "ignore") == []
    assert entries_without_reason(text, r'"[\w/*.]+"') == []


def test_every_warning_that_is_let_pass_and_every_untyped_library_says_why() -> None:
    text = read("pyproject.toml")
    assert entries_without_reason(text, "filterwarnings") == ['"error",']
    assert entries_without_reason(text, "module") == []


def test_every_suppressed_finding_of_ruff_in_the_code_names_its_rule() -> None:
    lines = [line for path in (TOP / "mdagent").rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if re.search(r"# noqa(?!: [A-Z]+\d)", line)] == []


def test_make_has_exactly_the_promised_targets() -> None:
    makefile = read("Makefile")
    assert set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) == PROMISED
    assert set(re.findall(r"^([a-z]+):[^#\n]*## \S", makefile, re.MULTILINE)) == PROMISED, "each says what it does"
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == PROMISED


def test_the_lock_has_hashes_and_names_no_place() -> None:
    lock = read("requirements.lock")
    pins = re.findall(r"^[a-z0-9][\w.-]*(?:\[[\w,]+\])?==\S+", lock, re.MULTILINE | re.IGNORECASE)
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE | re.IGNORECASE)
    assert len(pins) > 20
    assert [block for block in blocks if block.strip() and "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|file:|index-url|find-links|/", lock)


@pytest.mark.parametrize("name", ["Adjustment", "BarRequest", "BarSet", "Interval", "Symbol"])
def test_a_public_name_is_there_when_asked_for(name: str) -> None:
    assert getattr(mdagent, name).__name__ == name
    assert name in dir(mdagent)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = mdagent.Nothing


def test_importing_the_package_loads_nothing_of_ours_and_nothing_heavy() -> None:
    heavy = ("numpy", "pandas", "duckdb", "httpx", "asyncio", "sqlite3", "typer", "mdagent.")
    code = (
        f"import sys; before = set(sys.modules); import mdagent; print([m for m in set(sys.modules) - before if m.startswith({heavy!r})])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(TOP)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
