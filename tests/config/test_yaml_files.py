"""A settings file is one plain YAML document, and everything else is refused where it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdagent.config import Flags, Loaded, load
from mdagent.config.files import parse
from mdagent.errors import ConfigError

SECRET = "CANARY123KEY"


def load_text(folder: Path, text: str | bytes, mode: int = 0o600, **environ: str) -> Loaded:
    file = folder / "mdagent.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return load(Flags(), {"MDAGENT_HOME": str(folder / "home"), **environ}, folder)


def refusal(folder: Path, text: str | bytes, mode: int = 0o600, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, mode, **environ)
    assert SECRET not in caught.value.message + caught.value.hint
    return caught.value


def bomb() -> str:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(), "store: &here x", "a: &a {b: *a}", "*a : 1"])
def test_an_alias_or_anchor_is_refused_outright(tmp_path: Path, text: str) -> None:
    error = refusal(tmp_path, text)
    assert "mdagent.yaml:1: column" in error.message
    assert "alias or anchor" in error.message


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sources: {}\nlog: {level: info}\n\nsources: {}\n")
    assert "line 1" in error.message
    assert "line 4" in error.message
    assert "'sources'" in error.message


def test_a_key_that_stands_twice_deep_down_is_refused(tmp_path: Path) -> None:
    assert "line 4" in refusal(tmp_path, "sources:\n  yahoo:\n    plan: a\n    plan: b\n").message


@pytest.mark.parametrize("text", ['a: !!python/object/apply:os.system ["touch pwned"]', "log: !x {}", "log: !!map {}", "store: ! x"])
def test_a_tag_is_refused_and_nothing_is_made_of_it(tmp_path: Path, text: str) -> None:
    assert "tag" in refusal(tmp_path, text).message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mdagent.yaml"]


@pytest.mark.parametrize("text", ["log: {}\n---\nlog: {}\n", "---\n---\n", "log: {}\n...\n---\n"])
def test_a_second_document_is_refused(tmp_path: Path, text: str) -> None:
    assert "second document" in refusal(tmp_path, text).message


def test_a_tab_as_indentation_is_refused_with_line_and_column(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sources:\n\tyahoo: 1\n")
    assert f"{tmp_path / 'mdagent.yaml'}:2: column 1" in error.message
    assert "tab" in error.hint


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "\ufeff"])
def test_an_empty_file_changes_nothing_and_a_note_says_so(tmp_path: Path, text: str) -> None:
    loaded = load_text(tmp_path, text)
    assert loaded.settings == load(Flags(), {"MDAGENT_HOME": str(tmp_path / "home"), "MDAGENT_CONFIG": os.devnull}, tmp_path).settings
    assert "is empty" in loaded.notes[0]


@pytest.mark.parametrize(
    "text", ["sources:\n", "sources:\n  yahoo:\n", "environments:\n", "environments: {dev: }", "sessions: {closures: }"]
)
def test_an_empty_section_changes_nothing(tmp_path: Path, text: str) -> None:
    assert load_text(tmp_path, text).settings == load_text(tmp_path, "").settings


def test_a_file_larger_than_1_mib_is_refused(tmp_path: Path) -> None:
    assert load_text(tmp_path, "#" * (1 << 20)).files
    assert "1 MiB" in refusal(tmp_path, "#" * ((1 << 20) + 1)).message


def test_a_file_that_is_not_utf_8_is_refused_with_the_byte(tmp_path: Path) -> None:
    assert "byte 10 is not UTF-8" in refusal(tmp_path, b"# caf and\xe9").message


@pytest.mark.parametrize("text", ["[" * 50, "{a: " * 5000, "a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 40)), "- - - - " * 3000])
def test_deep_nesting_is_refused(tmp_path: Path, text: str) -> None:
    assert "mdagent.yaml" in refusal(tmp_path, text).message


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "5", "sources: [yahoo]", f"sources: {{yahoo: {SECRET}}}", f"sources: {SECRET}"])
def test_a_list_or_word_in_place_of_a_section_is_refused_without_its_value(tmp_path: Path, text: str) -> None:
    assert "must be a mapping" in refusal(tmp_path, text).message


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "? {a: 1}\n: 1\n", "~: 1"])
def test_a_key_that_is_no_word_is_refused(tmp_path: Path, text: str) -> None:
    assert "a key must be a word" in refusal(tmp_path, text).message


def test_an_unknown_setting_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, "log: {}\nsuorces: {}\n")
    assert "mdagent.yaml:2" in error.message
    assert "'suorces'" in error.message
    assert error.hint == "did you mean sources?"


def test_an_unknown_setting_with_no_near_name_lists_what_there_is(tmp_path: Path) -> None:
    assert refusal(tmp_path, "log: {zzz: 1}").hint == "known: file, format, level"


def test_an_unknown_source_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    assert refusal(tmp_path, "sources: {yahooo: {}}").hint == "did you mean yahoo?"


def test_a_mistyped_key_shows_its_name_and_never_its_value(tmp_path: Path) -> None:
    assert "did you mean api_key?" in refusal(tmp_path, f"sources: {{yahoo: {{api_kye: {SECRET}}}}}").hint


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_in_a_file_that_others_may_read_is_refused_and_not_shown(tmp_path: Path, mode: int) -> None:
    error = refusal(tmp_path, f"sources: {{yahoo: {{api_key: {SECRET}}}}}", mode)
    assert "sources.yahoo.api_key" in error.message
    assert "chmod 600" in error.hint
    assert "${VARIABLE}" in error.hint


def test_a_key_in_an_environment_not_chosen_is_guarded_too(tmp_path: Path) -> None:
    assert "environments.prod" in refusal(tmp_path, f"environments: {{prod: {{sources: {{yahoo: {{api_key: {SECRET}}}}}}}}}", 0o644).message


def test_a_proxy_with_a_password_in_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    assert "wire.proxy" in refusal(tmp_path, f"wire: {{proxy: 'http://me:{SECRET}@127.0.0.1:3128'}}", 0o644).message


def test_a_key_in_a_private_file_and_a_variable_in_a_public_one_are_accepted(tmp_path: Path) -> None:
    inline = load_text(tmp_path, f"sources: {{yahoo: {{api_key: {SECRET}}}}}").settings.sources["yahoo"].api_key
    named = load_text(tmp_path, "sources: {yahoo: {api_key: '${MY_KEY}'}}", 0o644, MY_KEY=SECRET).settings.sources["yahoo"].api_key
    assert inline is not None
    assert inline == named
    assert inline.reveal() == SECRET


def test_words_that_old_yaml_bends_stay_what_they_are() -> None:
    root = parse("{a: 012, b: on, c: 12:30:00, d: 2023-09-01, e: 1_000, f: 0x10, g: .inf, h: yes, i: 5, j: 5.0, k: -1e3}", "t")
    assert root is not None
    assert root.plain() == {
        "a": "012",
        "b": "on",
        "c": "12:30:00",
        "d": "2023-09-01",
        "e": "1_000",
        "f": "0x10",
        "g": ".inf",
        "h": "yes",
        "i": 5,
        "j": 5.0,
        "k": -1000.0,
    }


SNIPPETS = st.sampled_from(
    [
        "sources",
        "yahoo",
        "limits",
        "api_key",
        "log",
        "store",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "\n",
        "  ",
        "\t",
        "&a",
        "*a",
        "!!x",
        "---",
        "'",
        '"',
        "|",
        "5",
        "${X}",
        ",",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(SNIPPETS, max_size=25).map("".join), st.binary(max_size=40)))
@example("\x00")
@example("\ud800".encode("utf-16-le", "surrogatepass"))
@example("9" * 5000)
@example('store: "\\ud800"')
@example('store: "\\0"')
@example("log: {file: '~'}")
@example("? ")
@example(": ")
@example('"\\')
@example("%YAML 9.9\n---\n")
def test_any_text_either_loads_or_is_a_configuration_error(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        loaded = load_text(tmp_path_factory.getbasetemp(), data)
    except ConfigError as error:
        assert error.message.isprintable()  # noqa: PT017 - either outcome is right
    else:
        assert loaded.files
