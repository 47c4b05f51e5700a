"""Each kind of setting takes what it says, and refuses the rest by name, path and value."""

from __future__ import annotations

import copy
import pickle
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mdagent.config import Flags, LimitSettings, Secret, Settings, SourceSettings, load
from mdagent.config.tree import CALENDARS
from mdagent.errors import ConfigError

KEY = "CANARY123KEY"


def settings_of(folder: Path, text: str, **environ: str) -> Settings:
    file = folder / "mdagent.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return load(Flags(), {"MDAGENT_HOME": str(folder / "home"), **environ}, folder).settings


def yahoo(folder: Path, text: str, **environ: str) -> SourceSettings:
    return settings_of(folder, f"sources: {{yahoo: {{{text}}}}}", **environ).sources["yahoo"]


def refusal(folder: Path, text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settings_of(folder, text, **environ)
    assert KEY not in caught.value.message + caught.value.hint
    return caught.value


@pytest.mark.parametrize("value", ['"5"', "true", "5.5", "5.0", "0", "-1", "100001", "1000000000", "9" * 30, "null", "[5]", "{}", "1e3"])
def test_a_limit_that_is_no_whole_number_in_range_is_refused_and_the_range_named(tmp_path: Path, value: str) -> None:
    error = refusal(tmp_path, f"sources:\n  yahoo:\n    limits: [{{limit: {value}, per: 1m}}]\n")
    assert f"{tmp_path / 'mdagent.yaml'}:3: sources.yahoo.limits[0].limit is " in error.message
    assert "a whole number from 1 to 100000" in error.message


@pytest.mark.parametrize(
    ("entry", "limit"),
    [
        ("limit: 8, per: 1m", LimitSettings(8, 60.0)),
        ("limit: 1, per: 1s", LimitSettings(1, 1.0)),
        ("limit: 100000, per: 1h", LimitSettings(100_000, 3600.0)),
        ("limit: 2, per: 90", LimitSettings(2, 90.0)),
        ("limit: 800, per: day, zone: UTC", LimitSettings(800, "day", "UTC")),
        ("limit: 800, per: month, zone: America/New_York", LimitSettings(800, "month", "America/New_York")),
        ("limit: 800, per: day", LimitSettings(800, "day", "UTC")),
    ],
)
def test_a_limit_has_a_rolling_period_or_a_calendar_one(tmp_path: Path, entry: str, limit: LimitSettings) -> None:
    assert yahoo(tmp_path, f"limits: [{{{entry}}}]").limits == (limit,)
    assert yahoo(tmp_path, "", MDAGENT_SOURCES__YAHOO__LIMITS=f"[{{{entry}}}]").limits == (limit,)


@pytest.mark.parametrize("per", ["0", "-5", "true", "1d", "day ", "1000h", "0m", "2.5m", "null", "[1]", "1M"])
def test_a_period_that_is_none_is_refused(tmp_path: Path, per: str) -> None:
    assert "limits[0].per is" in refusal(tmp_path, f"sources: {{yahoo: {{limits: [{{limit: 1, per: '{per}'}}]}}}}").message


@pytest.mark.parametrize("zone", ["Mars/Phobos", "Europe", "../etc/passwd", "''", "5", "null", "/etc/localtime"])
def test_an_unknown_time_zone_is_refused(tmp_path: Path, zone: str) -> None:
    assert "limits[0].zone is" in refusal(tmp_path, f"sources: {{yahoo: {{limits: [{{limit: 1, per: day, zone: {zone}}}]}}}}").message


def test_a_zone_on_a_rolling_limit_is_refused(tmp_path: Path) -> None:
    assert "only day and month" in refusal(tmp_path, "sources: {yahoo: {limits: [{limit: 1, per: 1m, zone: UTC}]}}").message


def test_an_unknown_word_in_a_limit_is_refused_with_the_nearest(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sources: {yahoo: {limits: [{limt: 1, per: 1m}]}}")
    assert "limits[0].limt: unknown setting" in error.message
    assert error.hint == "did you mean limit?"


@pytest.mark.parametrize("text", ["8", "'8/min'", "{limit: 8, per: 1m}", "[8]", f"[{', '.join(['{limit: 1, per: 1m}'] * 9)}]"])
def test_limits_that_are_no_list_of_at_most_eight_entries_are_refused(tmp_path: Path, text: str) -> None:
    assert "a list of at most 8 entries" in refusal(tmp_path, f"sources: {{yahoo: {{limits: {text}}}}}").message


def test_no_limits_and_limits_of_the_source_are_two_things(tmp_path: Path) -> None:
    assert yahoo(tmp_path, "limits: []").limits == ()
    assert yahoo(tmp_path, "limits: null").limits is None


@pytest.mark.parametrize("value", ["0", "-1", "601", "'15'", "true", "1e400", ".nan", "null"])
def test_a_timeout_out_of_range_or_of_another_type_is_refused(tmp_path: Path, value: str) -> None:
    error = refusal(tmp_path, f"sources: {{yahoo: {{timeout: {{total: {value}}}}}}}")
    assert "sources.yahoo.timeout.total is " in error.message
    assert "0.05 to 600 (seconds)" in error.message


@pytest.mark.parametrize("value", ["1", "'true'", "on", "yes", "null"])
def test_a_yes_or_no_is_true_or_false_in_a_file(tmp_path: Path, value: str) -> None:
    assert "true or false" in refusal(tmp_path, f"sources: {{yahoo: {{enabled: {value}}}}}").message


@pytest.mark.parametrize(("word", "value"), [("0", False), ("no", False), ("Off", False), ("1", True), ("TRUE", True)])
def test_a_yes_or_no_has_more_spellings_in_a_variable(tmp_path: Path, word: str, value: bool) -> None:
    assert yahoo(tmp_path, "", MDAGENT_SOURCES__YAHOO__ENABLED=word).enabled is value


def test_a_word_that_is_none_of_the_few_is_refused_with_the_nearest(tmp_path: Path) -> None:
    error = refusal(tmp_path, "log: {level: warn}")
    assert "log.level is 'warn': it must be one of debug, info, warning, error" in error.message
    assert error.hint == "did you mean warning?"


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com:8443/api", "http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:9"]
)
def test_a_base_url_is_https_or_plain_http_to_this_machine(tmp_path: Path, url: str) -> None:
    assert yahoo(tmp_path, f"base_url: '{url}/'").base_url == (url,)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com", "http://10.0.0.5/", "http://127.1", "http://localhost.evil.example", "http://0.0.0.0", "ftp://example.com",
        "https://", "https:///x", "https://u:p@example.com", "https://example.com?x=1", "https://example.com/#x", "https://exa mple.com",
        "https://2130706433", "https://0x7f.1", "https://example.com:0", "https://example.com:99999", "https://[::1", "//example.com",
        "https://example.com\\@evil.example", "https://-x.example", "https://é.example", "https://[fe80::1%25eth0]", "5",
    ],
)  # fmt: skip
def test_any_other_base_url_is_refused(tmp_path: Path, url: str) -> None:
    assert "sources.yahoo.base_url is" in refusal(tmp_path, f"sources: {{yahoo: {{base_url: '{url}'}}}}").message


PRIVATE = ["10.0.0.5", "192.168.1.1", "169.254.169.254", "[fd00::1]", "[::ffff:10.0.0.5]", "100.64.0.1", "[fe80::1]", "224.0.0.1"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_base_url_in_a_private_network_must_be_allowed_by_name(tmp_path: Path, host: str) -> None:
    text = f"sources: {{yahoo: {{base_url: 'https://{host}'}}}}"
    error = refusal(tmp_path, text)
    assert "private network" in error.message
    assert "allow_private_hosts" in error.hint
    assert settings_of(tmp_path, f"{text}\nwire: {{allow_private_hosts: true}}\n").sources["yahoo"].base_url == (f"https://{host}",)


def test_permission_for_private_hosts_does_not_permit_plain_http(tmp_path: Path) -> None:
    assert "https" in refusal(tmp_path, "sources: {yahoo: {base_url: 'http://10.0.0.5'}}\nwire: {allow_private_hosts: true}").message


def test_a_variable_is_read_in_key_and_base_url(tmp_path: Path) -> None:
    got = yahoo(tmp_path, "api_key: '${K}', base_url: 'http://127.0.0.1:${PORT}/'", K=KEY, PORT="8123")
    assert got.api_key == Secret(KEY)
    assert got.base_url == ("http://127.0.0.1:8123",)


TWO = ("https://one.example", "http://127.0.0.1:${PORT}/api")


def test_a_base_url_may_be_a_list_each_of_it_judged_as_one(tmp_path: Path) -> None:
    told = ("https://one.example", "http://127.0.0.1:8123/api")
    assert yahoo(tmp_path, f"base_url: ['{TWO[0]}/', '{TWO[1]}']", PORT="8123").base_url == told
    for words in (",".join(TWO), f"[{TWO[0]}/ , {TWO[1]}]"):
        assert yahoo(tmp_path, "", MDAGENT_SOURCES__YAHOO__BASE_URL=words, PORT="8123").base_url == told
    assert yahoo(tmp_path, "", MDAGENT_SOURCES__YAHOO__BASE_URL="http://[::1]").base_url == ("http://[::1]",), "a bracket is no list"


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        (
            "['https://a.example', 'http://b.example']",
            "base_url[1] is 'http://b.example': it must be https: plain http is only for a loopback",
        ),
        ("['https://a.example', 5]", "base_url[1] is 5: it must be an address"),
        (
            "['https://a.example', 'https://A.example:443/x']",
            "base_url[1] is 'https://A.example:443/x': it must be at another host or port",
        ),
        ("['https://a.example', ['https://b.example']]", "base_url[1] is a list: it must be an address"),
        ("[]", "base_url is a list: it must be an address such as https://host/path, or a list of 1 to 8 of them"),
        (
            str([f"https://h{n}.example" for n in range(9)]),
            "base_url is a list: it must be an address such as https://host/path, or a list",
        ),
        ("{a: b}", "base_url is a mapping: it must be an address"),
        ("['https://a.example', 'https://${H}/x y']", "base_url[1] is 'https://${H}/x y': it must be an address"),
    ],
)
def test_what_is_wrong_in_a_list_of_addresses_is_named(tmp_path: Path, listed: str, says: str) -> None:
    assert f"sources.yahoo.{says}" in refusal(tmp_path, f"sources: {{yahoo: {{base_url: {listed}}}}}", H=KEY).message


def test_every_address_of_a_list_is_looked_at_for_private_networks(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sources: {yahoo: {base_url: ['https://a.example', 'https://10.0.0.5']}}")
    assert "10.0.0.5 is an address of a private network" in error.message


def test_a_variable_of_a_list_that_is_not_set_is_named(tmp_path: Path) -> None:
    assert (
        "the environment variable NO_SUCH is not set" in refusal(tmp_path, "sources: {yahoo: {base_url: ['https://${NO_SUCH}']}}").message
    )


def test_a_variable_that_is_not_set_is_named_with_the_path(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sources: {yahoo: {api_key: '${NO_SUCH}'}}")
    assert "sources.yahoo.api_key: the environment variable NO_SUCH is not set" in error.message


def test_a_variable_of_an_environment_not_chosen_need_not_be_set(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "environments: {prod: {sources: {yahoo: {api_key: '${NO_SUCH}'}}}}").sources["yahoo"].api_key is None


@pytest.mark.parametrize("text", ["store: '${HOME}/x'", "sources: {yahoo: {plan: '${PLAN}'}}"])
def test_a_variable_anywhere_else_is_refused(tmp_path: Path, text: str) -> None:
    assert "api_key and base_url only" in refusal(tmp_path, text, PLAN="x").message


@pytest.mark.parametrize("raw", ["${", "${}", "${A B}", "${1}", "x${"])
def test_a_variable_without_its_end_is_refused(tmp_path: Path, raw: str) -> None:
    assert "sources.yahoo.api_key" in refusal(tmp_path, f"sources: {{yahoo: {{api_key: '{raw}'}}}}").message


def test_what_a_variable_held_is_not_shown_when_it_is_refused(tmp_path: Path) -> None:
    assert "'https://${H}'" in refusal(tmp_path, "sources: {yahoo: {base_url: 'https://${H}'}}", H=f"{KEY} x").message


@pytest.mark.parametrize("key", [f"{KEY[:3]}\\n{KEY}", f"{KEY}\\r\\nX: y", f"\\u001b{KEY}", f"{KEY}é", "***", "*** (fingerprint 12345678)"])
def test_a_key_with_a_line_break_or_control_character_is_refused(tmp_path: Path, key: str) -> None:
    assert "sources.yahoo.api_key" in refusal(tmp_path, f'sources: {{yahoo: {{api_key: "{key}"}}}}').message
    text = key.encode().decode("unicode_escape") if "\\" in key else key
    assert "MDAGENT_YAHOO_API_KEY" in refusal(tmp_path, "", MDAGENT_YAHOO_API_KEY=text).message


def test_white_space_around_a_key_is_dropped_with_a_note(tmp_path: Path) -> None:
    loaded = load(Flags(), {"MDAGENT_HOME": str(tmp_path), "MDAGENT_YAHOO_API_KEY": f"{KEY}\n"}, tmp_path)
    assert loaded.settings.sources["yahoo"].api_key == Secret(KEY)
    assert loaded.notes == ("MDAGENT_YAHOO_API_KEY: sources.yahoo.api_key: white space around the secret was dropped",)


@pytest.mark.parametrize("value", ["5", "true", "[a]", "''", "' '"])
def test_a_key_that_is_no_text_is_refused(tmp_path: Path, value: str) -> None:
    assert "sources.yahoo.api_key" in refusal(tmp_path, f"sources: {{yahoo: {{api_key: {value}}}}}").message


def test_a_secret_is_masked_however_it_is_printed() -> None:
    secret = Secret(KEY)
    texts = [repr(secret), str(secret), f"{secret}", f"{secret:>9}", f"{secret!r}", f"{secret!s:.5}", "%s" % secret, repr([secret])]  # noqa: UP031
    texts += [repr(SourceSettings(api_key=secret)), secret.fingerprint]
    assert KEY not in "".join(texts)
    assert secret.reveal() == KEY


def test_secrets_compare_copy_and_are_never_pickled() -> None:
    secret = Secret(KEY)
    assert secret == Secret(f" {KEY} ")
    assert len({secret, Secret(KEY), Secret("other")}) == 2
    assert secret != KEY
    assert copy.deepcopy(secret) == copy.copy(secret) == secret
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError, match="never pickled") as caught:
        pickle.dumps(secret)
    assert KEY not in str(caught.value)


def test_closures_are_days_by_calendar(tmp_path: Path) -> None:
    got = settings_of(
        tmp_path, "sessions: {closures: {XHKG: [2023-09-08, 2023-09-01], 24/7: []}}", MDAGENT_SESSIONS__CLOSURES__XNYS="2024-06-05"
    )
    assert got.sessions.closures == {"XHKG": (date(2023, 9, 1), date(2023, 9, 8)), "24/7": (), "XNYS": (date(2024, 6, 5),)}


@pytest.mark.parametrize(
    ("text", "word"),
    [("XHGK: []", "XHKG"), ("XHKG: [2023-02-30]", "closures.XHKG[0]"), ("XHKG: 2023-09-01", "a list"), ("XHKG: [5]", "'5'|5")],
)
def test_a_closure_of_no_calendar_or_no_day_is_refused(tmp_path: Path, text: str, word: str) -> None:
    error = refusal(tmp_path, f"sessions: {{closures: {{{text}}}}}")
    assert any(part in error.message + error.hint for part in word.split("|"))


def test_every_calendar_of_the_library_may_be_closed() -> None:
    import exchange_calendars

    assert set(exchange_calendars.get_calendar_names(include_aliases=False)) <= set(CALENDARS)


@pytest.mark.parametrize("agent", ["'a\\nb'", "é", "5", "''", "x" * 301])
def test_a_user_agent_must_fit_a_header(tmp_path: Path, agent: str) -> None:
    quoted = agent.replace("'", '"')
    assert "sources.yahoo.user_agent" in refusal(tmp_path, f"sources: {{yahoo: {{user_agent: {quoted}}}}}").message


@pytest.mark.parametrize("proxy", ["socks5://x:1", "http://p:1/path", "http://p:1?x", "nonsense", "5"])
def test_a_proxy_that_is_no_http_address_is_refused(tmp_path: Path, proxy: str) -> None:
    assert "wire.proxy" in refusal(tmp_path, f"wire: {{proxy: '{proxy}'}}").message


def test_a_file_of_authorities_must_be_there(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path, "wire: {ca_file: none.pem}").message
    (tmp_path / "ca.pem").touch()
    assert settings_of(tmp_path, "wire: {ca_file: ca.pem}").wire.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize("value", ['"a\\u202eb"', '"a\\nb"', "''", "5"])
def test_a_path_must_be_printable_text(tmp_path: Path, value: str) -> None:
    assert "log.file is" in refusal(tmp_path, f"log: {{file: {value}}}").message


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings: Any = settings_of(tmp_path, "")
    with pytest.raises(AttributeError):
        settings.world = "sandbox"
    with pytest.raises(TypeError):
        settings.sources["yahoo"] = None
