"""Settings: each wrong one is named, with the allowed values and the fix."""

from __future__ import annotations

import re
import subprocess

import pytest

from mqtt_bridge import settings
from mqtt_bridge.settings import SettingsError


@pytest.fixture
def load(tmp_path):
    def loaded(text="", environ=(), flags=()):
        file = tmp_path / "bridge.toml"
        file.write_text(text)
        return settings.load(file, dict(environ), flags)

    return loaded


def test_without_settings_the_defaults_are_used():
    made = settings.load(None, {})

    assert made.broker.address == "mqtt://localhost:1883"
    assert made.store.interface == "127.0.0.1", "the default lets in nobody else"
    assert made.metrics is None
    assert made.http.listen is None


def test_the_environment_replaces_the_file_and_flags_replace_both(load):
    text = "[broker]\nhost = 'a'\nport = 1\nkeepalive = 9"
    environ = {"UPKEEP_BROKER_PORT": "2", "UPKEEP_BROKER_KEEPALIVE": "8"}
    made = load(text, environ, ["broker.keepalive=7"]).broker

    assert (made.host, made.port, made.keepalive) == ("a", 2, 7)


BUTTONS = """
http = { listen = 1, url = "http://a" }
push.rule = [{ to = "a", buttons = true }]
"""


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("[broker]\nport = 'abc'", "broker.port is 'abc', not a number from 1 to"),
        ("[broker]\nport = true", "broker.port is True, not a number"),
        ("[broker]\nport = inf", "broker.port is inf, not a whole number from 1 to"),
        ("[broker]\nport = 1883.7", "broker.port is 1883.7, not a whole number"),
        ("[store.share]\nof = nan", "store.share.of is nan, not a whole number"),
        ("[http]\nexpire = nan", "http.expire is nan, not a number from 0.1 to"),
        ("[[broker]]\npassword = 'x'", "broker is a list of tables, not a table"),
        ("[broker]\nversion = '4'", "one of 3.1.1, 5"),
        ("[broker]\nbase = 'a/+/b'", "a topic without +, without #, and without"),
        ("[broker]\nprt = 1", "there is no broker.prt; allowed: base, ca"),
        ("[brokr]", "there is no brokr; allowed: broker"),
        ("broker = 1", "broker is 1, not a table"),
        ("[broker]\nkey = 'k'", "broker.key is set without broker.certificate"),
        ("[store.share]\nof = 4\nindex = 4", "it is a number from 0 to 3"),
        ("[store]\nprinters = ['A b']", "a printer's slug"),
        ("[store]\nallow = ['here']", "a network such as 192.168.1.0/24"),
        ("[store]\ninterface = '::1'", "store.interface is '::1', not an IPv4 address"),
        ("[store]\ninterface = '[::]'", "discovery uses IPv4 broadcasts"),
        ("[store]\nrole = 'spare'", "one of only, main, standby"),
        ("[push]\nquiet = '22'", "two times of the day such as 22:00-07:00"),
        ("[[push.rule]]\nevents = ['due']", "push.rule.0.to is missing"),
        ("[[push.rule]]\nto = 'a'\nevents = ['dew']", "one of soon, due, done"),
        ("[[push.rule]]\nto = 'a'\ntitle = '{x}'", "in which only {printer}"),
        ("[[push.rule]]\nto = 'a'\ntitle = '{label.x}'", "in which only {printer}"),
        ("[[push.rule]]\nto = 'a'\ntitle = '{label.upper}'", "in which only {printer}"),
        ("[[push.rule]]\nto = 'a'\ntitle = '{label[x]}'", "in which only {printer}"),
        ("[[push.rule]]\nto = 'a'\nbuttons = true", "http.listen"),
        (f"store.read_only = true\n{BUTTONS}", "store.read_only"),
        ("[http]\nurl = 'phone'", "begins with http:// or https://"),
        ("[metrics]\nlisten = 'x:y'", "HOST:PORT"),
        ("[", "is no TOML"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_the_allowed_values(load, text, wording):
    with pytest.raises(SettingsError) as error:
        load(text)
    assert wording in str(error.value)
    assert re.match(r"/.*/bridge\.toml(: | is no TOML)", str(error.value))


def test_the_error_tells_where_a_wrong_value_was_set(load):
    with pytest.raises(SettingsError, match="environment's UPKEEP_BROKER_PORT"):
        load("", {"UPKEEP_BROKER_PORT": "x"})
    with pytest.raises(SettingsError, match=r"--set broker\.port"):
        load("", (), ["broker.port=x"])
    with pytest.raises(
        SettingsError, match=r"^--set store\.share\.index: store\.share"
    ):
        load("[store.share]\nof = 4", (), ["store.share.index=4"])
    with pytest.raises(SettingsError, match=r"^the environment's UPKEEP_BROKER_KEY: b"):
        load("", {"UPKEEP_BROKER_KEY": "k"})
    with pytest.raises(SettingsError, match=r"^--set broker\.credentials: broker\.c"):
        load("", (), ["broker.credentials=/none"])


@pytest.mark.parametrize(
    ("environ", "flags", "wording"),
    [
        ({"UPKEEP_BROKER_HOTS": "x"}, [], "did you mean UPKEEP_BROKER_HOST?"),
        ({}, ["broker.hots=x"], "did you mean broker.host?"),
        ({}, ["push.rule.0.buttons=true"], "rules can only be set in the file"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_name(
    load, environ, flags, wording
):
    with pytest.raises(SettingsError, match=re.escape(wording)):
        load("[[push.rule]]\nto = 'json://a'", environ, flags)


def test_files_that_tls_cannot_use_are_refused_by_name(load, tmp_path):
    """The link could only report the fault for ever, without the name."""
    with pytest.raises(SettingsError, match=r"broker\.ca cannot be read: .*/nope"):
        load("[broker]\nca = '/nope'")
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"broker\.ca cannot be used: .*x\.pem"):
        load(f"[broker]\nca = '{tmp_path}/x.pem'")
    with pytest.raises(
        SettingsError, match=r"broker\.certificate cannot be used: .*x\.pem"
    ):
        load(f"[broker]\ncertificate = '{tmp_path}/x.pem'")


def test_a_missing_file_is_refused_with_the_fix(tmp_path):
    with pytest.raises(SettingsError, match=r"'upkeep-bridge init \S+toml' writes one"):
        settings.load(tmp_path / "none.toml", {})


def test_no_password_is_accepted_in_the_settings_or_on_the_command_line(load):
    with pytest.raises(SettingsError, match=r"broker\.credentials") as error:
        load("[broker]\npassword = 'hunter2'")
    assert "hunter2" not in str(error.value)
    with pytest.raises(SettingsError, match="must not have a password") as error:
        load("", (), ["broker.password=hunter2"])
    assert "hunter2" not in str(error.value)


def test_credentials_are_read_from_a_file_or_the_environment(load, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("# for the bridge\nusername: anna\npassword: a:b\n")
    made = load("[broker]\ncredentials = '$HERE/secret'", {"HERE": str(tmp_path)})
    assert (made.broker.username, made.broker.password) == ("anna", "a:b")

    made = load("[broker]\nusername = 'bo'", {"UPKEEP_BROKER_PASSWORD": "c"})
    assert (made.broker.username, made.broker.password) == ("bo", "c")
    assert "password" not in repr(made)


def test_credentials_that_cannot_be_read_are_refused_with_the_fix(load, tmp_path):
    with pytest.raises(SettingsError, match="username: NAME"):
        load(f"[broker]\ncredentials = '{tmp_path}/none'")
    (tmp_path / "empty").write_text("")
    with pytest.raises(SettingsError, match="has no line"):
        load(f"[broker]\ncredentials = '{tmp_path}/empty'")


def test_tls_changes_the_default_port(load, tmp_path):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x", "-keyout",
         tmp_path / "key.pem", "-out", tmp_path / "ca.pem"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    made = load(f"[broker]\nca = '{tmp_path}/ca.pem'").broker
    assert (made.port, made.tls.ca) == (8883, f"{tmp_path}/ca.pem")
    assert load("[broker]\ntls = true").broker.tls.ca is None
    assert load("[broker]\ntls = false").broker.tls is None


@pytest.mark.parametrize(
    "text",
    [
        "[[push.rule]]\nto = [1, 'tgram://SECRET']",
        "[push.rule]\nto = ['tgram://SECRET']",
        "[[push]]\nto = ['tgram://SECRET']",
        "push = ['tgram://SECRET']",
        "[push]\nrule = ['tgram://SECRET']",
        "[[push.rule]]\nto = 'a'\nevents = ['tgram://SECRET']",
        "[push]\nto = ['tgram://SECRET']",
        "[[broker]]\npassword = 'SECRET'",
        "broker = [{password = 'SECRET'}]",
        "[broker]\npassword = 'SECRET'",
    ],
)
def test_no_error_shows_a_value_that_may_be_a_token(load, text):
    with pytest.raises(SettingsError) as error:
        load(text)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({"HOME": "/home/me"}, "/home/me/.local/state/upkeep-bridge/{}"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/xdg"}, "/xdg/upkeep-bridge/{}"),
        ({"HOME": "/h", "STATE_DIRECTORY": "/var/lib/up:/b"}, "/var/lib/up/{}"),
        ({"HOME": "/h", "UPKEEP_PUSH_STATE": "/there"}, "/there"),
        ({}, ""),
    ],
)
def test_the_file_of_sent_messages_is_in_the_folder_for_such_files(environ, state):
    wording = settings.load(None, environ, ["store.alias=part1"]).push.state

    assert wording == state.format("push-upkeep-part1.db")


def test_a_main_bridge_and_its_standby_may_replace_each_other(load):
    text = "[broker]\nclient_id = 'hall'\n[store]\nrole = '{}'"
    main, standby = load(text.format("main")), load(text.format("standby"))
    assert main.store.override
    assert standby.store.override
    assert (main.broker.client_id, standby.broker.client_id) == ("hall", "hall-standby")
    assert not load("").store.override
