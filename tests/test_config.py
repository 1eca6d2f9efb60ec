from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.config import (
    BOOLEAN,
    COMPRESSION_KEYS,
    INTEGER,
    NUMBER,
    NUMBER_OR_FALSE,
    POLICY_KEYS,
    STRING,
    STRINGS,
    TABLE_OR_BOOLEAN,
    WEBSOCKET_KEYS,
    Kind,
    Table,
    load_policy,
    load_section,
)
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import PolicyFields, UpgradePolicy
from asgi_upgrade.policy.websocket import Deflate, WebSocketOptions
from asgi_upgrade.types import Scope

POLICY = "[tool.asgi-upgrade.policy]\n"
EVERY_KEY = """
[project]
name = "shop"

[tool.asgi-upgrade.policy]
mode = "lenient"
allow-origins = ["https://shop.example", "http://localhost:*"]
allow-origin-regex = 'https://[a-z]+\\.shop\\.example'
allow-missing-origin = false
allowed-hosts = ["shop.example"]
trusted-proxies = ["10.0.0.0/8", "unix"]
subprotocols = ["chat"]
require-subprotocol = true
h2c = "ignore"
unknown-protocols = "reject"
websocket-only = ["/ws/{room}"]
max-head-size = 8192
max-body-size = 4096
guard-responses = true
max-connections = 100
max-connections-per-client = 10
report-only = true

[tool.asgi-upgrade.policy.websocket]
max-size = 65536
max-queue = 4
open-timeout = 5
close-timeout = 2.5
ping-interval = false
ping-timeout = 7
engine = "wsproto"

[tool.asgi-upgrade.policy.websocket.compression]
server-max-window-bits = 12
client-max-window-bits = 11
server-no-context-takeover = true
client-no-context-takeover = true
threshold = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "pyproject.toml"


def failure(path: Path, text: str | bytes) -> ConfigurationError:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        load_policy(path)
    return caught.value


# What a file can say


def test_every_key_reaches_the_policy(project: Path) -> None:
    project.write_text(EVERY_KEY, encoding="utf-8")
    assert load_policy(project) == UpgradePolicy(
        mode="lenient",
        allow_origins=["https://shop.example", "http://localhost:*"],
        allow_origin_regex=r"https://[a-z]+\.shop\.example",
        allow_missing_origin=False,
        allowed_hosts=["shop.example"],
        trusted_proxies=["10.0.0.0/8", "unix"],
        subprotocols=["chat"],
        require_subprotocol=True,
        h2c="ignore",
        unknown_protocols="reject",
        websocket_only=["/ws/{room}"],
        max_head_size=8192,
        max_body_size=4096,
        guard_responses=True,
        max_connections=100,
        max_connections_per_client=10,
        report_only=True,
        websocket=WebSocketOptions(
            max_size=65536,
            max_queue=4,
            open_timeout=5,
            close_timeout=2.5,
            ping_interval=None,
            ping_timeout=7,
            engine="wsproto",
            compression=Deflate(
                server_max_window_bits=12,
                client_max_window_bits=11,
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                threshold=1,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        pytest.param(POLICY, UpgradePolicy(), id="empty-table"),
        pytest.param("tool.asgi-upgrade.policy = {}", UpgradePolicy(), id="inline-table"),
        pytest.param(POLICY + "check-origin = false", UpgradePolicy(check_origin=False), id="check-off"),
        pytest.param(POLICY + "websocket = {}", UpgradePolicy(), id="empty-websocket"),
        pytest.param(
            POLICY + "websocket = { ping-timeout = false }",
            UpgradePolicy(websocket=WebSocketOptions(ping_timeout=None)),
            id="no-ping-timeout",
        ),
        pytest.param(
            POLICY + "websocket.ping-interval = 5\r\n",
            UpgradePolicy(websocket=WebSocketOptions(ping_interval=5)),
            id="dotted-key",
        ),
        *(
            pytest.param(
                f"{POLICY}websocket.compression{text}",
                UpgradePolicy(websocket=WebSocketOptions(compression=compression)),
                id=f"compression-{text}",
            )
            for text, compression in (
                (" = true", Deflate()),
                (" = false", None),
                (" = {}", Deflate()),
                (".threshold = 7", Deflate(threshold=7)),
            )
        ),
        pytest.param(
            "[tool.asgi-upgrade.check]\nx = 1\n[tool.asgi-upgrade.ignore]\ny = {}\n" + POLICY,
            UpgradePolicy(),
            id="beside-other-tables",
        ),
    ],
)
def test_what_is_left_out_has_its_default(project: Path, text: str, policy: UpgradePolicy) -> None:
    project.write_text(text, encoding="utf-8")
    assert load_policy(project) == policy


def test_the_path_may_be_a_string(project: Path) -> None:
    project.write_text(POLICY + 'h2c = "ignore"', encoding="utf-8")
    assert load_policy(str(project)).h2c == "ignore"


def test_nothing_is_read_that_is_not_named(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write_text(POLICY + 'mode = "lenient"', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert UpgradePolicy().mode == "strict"
    other = tmp_path / "other.toml"
    other.write_text(POLICY, encoding="utf-8")
    assert load_policy(other).mode == "strict"


def test_a_function_is_added_in_python(project: Path) -> None:
    def admit(origin: str, scope: Scope) -> bool:
        return True

    project.write_text(POLICY + 'allow-origins = ["https://a"]', encoding="utf-8")
    policy = dataclasses.replace(load_policy(project), check_origin=admit)
    assert policy == UpgradePolicy(allow_origins=["https://a"], check_origin=admit)


# The keys are the fields


def test_the_keys_are_the_fields_in_kebab_case() -> None:
    assert [key.replace("-", "_") for key in POLICY_KEYS] == list(PolicyFields.__annotations__)
    assert [key.replace("-", "_") for key in WEBSOCKET_KEYS] == [o.name for o in dataclasses.fields(WebSocketOptions)]
    assert [key.replace("-", "_") for key in COMPRESSION_KEYS] == [o.name for o in dataclasses.fields(Deflate)]


def test_no_key_has_two_meanings() -> None:
    keys = [*POLICY_KEYS, *WEBSOCKET_KEYS, *COMPRESSION_KEYS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("kind", "admitted"),
    [
        pytest.param(BOOLEAN, [True, False], id="boolean"),
        pytest.param(STRING, ["", "a"], id="string"),
        pytest.param(STRINGS, [[], ["a"]], id="strings"),
        pytest.param(INTEGER, [0, -1, 1], id="integer"),
        pytest.param(NUMBER, [0, -1, 1, 1.5], id="number"),
        pytest.param(NUMBER_OR_FALSE, [False, 0, -1, 1, 1.5], id="number-or-false"),
        pytest.param(TABLE_OR_BOOLEAN, [True, False, {}, {"a": 1}], id="table-or-boolean"),
    ],
)
def test_a_kind_admits_its_values_only(kind: Kind, admitted: list[Any]) -> None:
    values: list[Any] = [True, False, "", "a", [], ["a"], [1], ["a", 1], 0, -1, 1, 1.5, {}, {"a": 1}]
    # Compared with their types: True equals 1.
    assert [(type(value), value) for value in values if kind.admits(value)] == [
        (type(value), value) for value in admitted
    ]


def test_the_kind_of_a_key_fits_the_type_of_its_field() -> None:
    hints = get_type_hints(PolicyFields)
    flags = {name for name, hint in hints.items() if hint is bool}
    assert {key.replace("-", "_") for key, kind in POLICY_KEYS.items() if kind is BOOLEAN} == flags
    lists = {name for name, hint in hints.items() if "Sequence[str]" in str(hint)}
    assert {key.replace("-", "_") for key, kind in POLICY_KEYS.items() if kind is STRINGS} == lists
    optional = {name: get_args(hint) for name, hint in get_type_hints(WebSocketOptions).items()}
    numbers = {name for name, hints in optional.items() if {type(None), float} <= set(hints)}
    assert {key.replace("-", "_") for key, kind in WEBSOCKET_KEYS.items() if kind is NUMBER_OR_FALSE} == numbers
    tables = {name for name, hints in optional.items() if Deflate in hints}
    assert {key.replace("-", "_") for key, kind in WEBSOCKET_KEYS.items() if kind is TABLE_OR_BOOLEAN} == tables
    flags = {name for name, hint in get_type_hints(Deflate).items() if hint is bool}
    assert {key.replace("-", "_") for key, kind in COMPRESSION_KEYS.items() if kind is BOOLEAN} == flags


# Mistakes in the table


@pytest.mark.parametrize(
    ("text", "key", "value", "remedy"),
    [
        # realistic
        pytest.param(
            'allow_origins = ["https://a"]',
            "allow_origins",
            "['https://a']",
            "there is no such key; did you mean 'allow-origins'?",
            id="snake-case",
        ),
        pytest.param(
            "allow-origin = []", "allow-origin", "[]", "there is no such key; did you mean 'allow-origins'?", id="typo"
        ),
        pytest.param(
            'Mode = "strict"', "Mode", '"strict"', "there is no such key; did you mean 'mode'?", id="capitals"
        ),
        pytest.param(
            "xyz = 1", "xyz", "1", f"there is no such key; the keys are {', '.join(POLICY_KEYS)}", id="nothing-near"
        ),
        pytest.param(
            'allow-origins = "https://a"',
            "allow-origins",
            '"https://a"',
            'write an array of strings, such as allow-origins = ["..."]',
            id="string-for-array",
        ),
        pytest.param(
            "allow-missing-origin = 0",
            "allow-missing-origin",
            "0",
            "write true or false, such as allow-missing-origin = true",
            id="number-for-boolean",
        ),
        pytest.param(
            'max-head-size = "64k"',
            "max-head-size",
            '"64k"',
            "write an integer, such as max-head-size = 65536",
            id="string-for-integer",
        ),
        pytest.param("h2c = true", "h2c", "true", 'write a string, such as h2c = "..."', id="boolean-for-string"),
        pytest.param("websocket = 1", "websocket", "1", "write a table, such as websocket = { }", id="no-table"),
        pytest.param('mode = "lax"', "mode", '"lax"', 'write "strict" or "lenient"', id="value"),
        pytest.param('allow-origins = ["a"]', "allow-origins", '"a"', 'write "https://a"', id="entry"),
        pytest.param(
            'allowed-hosts = ["*"]', "allowed-hosts", '"*"', "leave allowed-hosts out to accept any host", id="own-name"
        ),
        pytest.param("allow-origin-regex = '('", "allow-origin-regex", '"("', "not a regular expression", id="regex"),
        pytest.param(
            "max-size = 1", "max-size", "1", "write it in [tool.asgi-upgrade.policy.websocket]", id="wrong-table"
        ),
        pytest.param(
            "max_size = 1", "max_size", "1", "write it in [tool.asgi-upgrade.policy.websocket]", id="wrong-table-snake"
        ),
        pytest.param(
            'websocket.mode = "strict"',
            "websocket.mode",
            '"strict"',
            f"there is no such key; the keys are {', '.join(WEBSOCKET_KEYS)}",
            id="wrong-table-the-other-way",
        ),
        pytest.param(
            "websocket.max_size = 1",
            "websocket.max_size",
            "1",
            "there is no such key; did you mean 'max-size'?",
            id="websocket-snake-case",
        ),
        pytest.param(
            "websocket.max-queue = 1.5",
            "websocket.max-queue",
            "1.5",
            "write an integer, such as max-queue = 65536",
            id="websocket-type",
        ),
        pytest.param(
            "websocket.ping-interval = true",
            "websocket.ping-interval",
            "true",
            "write a number, or false for never, such as ping-interval = 20.0",
            id="websocket-true",
        ),
        pytest.param(
            "websocket.open-timeout = false",
            "websocket.open-timeout",
            "false",
            "write a number, such as open-timeout = 20.0",
            id="websocket-false",
        ),
        pytest.param(
            "websocket.ping-timeout = 0",
            "websocket.ping-timeout",
            "0",
            "write a number above 0, or false",
            id="websocket-value",
        ),
        pytest.param(
            "max-connections = 0",
            "max-connections",
            "0",
            "write a whole number above 0, or leave it out",
            id="what-no-file-can-say",
        ),
        pytest.param('h2c = "no"', "h2c", '"no"', 'write "ignore" or "reject", or leave it out', id="choice"),
        pytest.param("mode = 2026-11-26", "mode", "2026-11-26", "write a string", id="date"),
        pytest.param(
            "websocket.close-timeout = inf", "websocket.close-timeout", "inf", "write a number above 0", id="infinite"
        ),
        pytest.param(
            "websocket.compression = 9",
            "websocket.compression",
            "9",
            "write true, false or a table, such as compression = true",
            id="compression-number",
        ),
        pytest.param(
            "websocket.compression.server-max-window-bits = 8",
            "websocket.compression.server-max-window-bits",
            "8",
            "write a whole number from 9 to 15",
            id="compression-value",
        ),
        pytest.param(
            "websocket.compression.window-bits = 8",
            "websocket.compression.window-bits",
            "8",
            "there is no such key; ",
            id="compression-key",
        ),
        pytest.param(
            "websocket.compression.threshold = true",
            "websocket.compression.threshold",
            "true",
            "write an integer, such as threshold = 65536",
            id="compression-type",
        ),
        # the one that no file can hold
        *(
            pytest.param(
                f"check-origin = {value}",
                "check-origin",
                value,
                "write false; a function is given in Python: dataclasses.replace(load_policy(...), check_origin=...)",
                id=f"check-origin-{value}",
            )
            for value in ("true", '"shop:admit"', "0")
        ),
        pytest.param(
            'check-origin = false\nallow-origins = ["https://a"]',
            "check-origin",
            "false",
            "it turns the origin check off; remove it or the other origin options",
            id="check-origin-false-beside-another",
        ),
        # pathological
        pytest.param('"a\\nb" = 1', '"a\\x0ab"', "1", "there is no such key", id="key-with-line-end"),
        pytest.param(f"{'a' * 9999} = 1", f'"{"a" * 197}..."', "1", "there is no such key", id="long-key"),
        pytest.param('"" = 1', '""', "1", "there is no such key", id="empty-key"),
    ],
)
def test_a_mistake_names_file_table_and_key(project: Path, text: str, key: str, value: str, remedy: str) -> None:
    error = failure(project, POLICY + text)
    assert str(error).startswith(f"{project}: tool.asgi-upgrade.policy.{key}={value}: {remedy}")


# Mistakes around the table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", 'path="{}": has no table [tool.asgi-upgrade.policy]; add it', id="empty-file"),
        pytest.param("[tool.ruff]", 'path="{}": has no table [tool.asgi-upgrade.policy]; add it', id="other-tools"),
        pytest.param(
            "[tool.asgi-upgrade.check]", 'path="{}": has no table [tool.asgi-upgrade.policy]; add it', id="other-table"
        ),
        pytest.param(
            "[tool.asgi_upgrade.policy]",
            "{}: tool.asgi_upgrade={{'policy': {{}}}}: write [tool.asgi-upgrade]",
            id="section-in-snake-case",
        ),
        pytest.param(
            "[tool.asgi-upgrade.polciy]",
            "{}: tool.asgi-upgrade.polciy={{}}: there is no such key; did you mean 'policy'?",
            id="table-misspelled",
        ),
        pytest.param(
            "[tool.asgi-upgrade]\nmode = 'strict'",
            '{}: tool.asgi-upgrade.mode="strict": there is no such key; the keys are check, ignore, policy',
            id="table-forgotten",
        ),
        pytest.param(
            "[[tool.asgi-upgrade.policy]]",
            "{}: tool.asgi-upgrade.policy=[{{}}]: write a table, [tool.asgi-upgrade.policy]",
            id="array-of-tables",
        ),
        pytest.param(
            "tool.asgi-upgrade = 1",
            "{}: tool.asgi-upgrade=1: write a table, [tool.asgi-upgrade]",
            id="section-number",
        ),
        pytest.param(
            "tool = []", 'path="{}": tool is not a table; write [tool.asgi-upgrade.policy]', id="tool-is-no-table"
        ),
    ],
)
def test_a_missing_or_misplaced_table_is_told(project: Path, text: str, message: str) -> None:
    assert str(failure(project, text)) == message.format(project)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param("[tool.asgi-upgrade.policy", "end of a table declaration", id="open-bracket"),
        pytest.param("x = 1\nx = 2", "Cannot overwrite a value", id="key-twice"),
        pytest.param("mode = strict", "Invalid value", id="bare-value"),
        pytest.param(b"\xff\xfe", "codec can't decode", id="not-utf-8"),
        pytest.param(b"\x7fELF\x00", "Invalid statement", id="binary"),
        pytest.param("x = " + "[" * 100_000, "", id="nested-without-end"),
    ],
)
def test_a_file_that_is_not_toml_is_told(project: Path, text: str | bytes, cause: str) -> None:
    error = str(failure(project, text))
    assert error.startswith(f'path="{project}": is not valid TOML: "')
    assert cause in error
    assert len(error) < len(str(project)) + 300


def test_a_file_that_is_not_there_is_told(project: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(project)
    assert str(caught.value) == f'path="{project}": cannot be read (No such file or directory); name a pyproject.toml'


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read \(.*\); name a pyproject.toml"):
        load_policy(tmp_path)


def test_a_path_that_cannot_be_one_is_told() -> None:
    with pytest.raises(ConfigurationError, match="null byte"):
        load_policy("a\x00b")


@given(
    text=st.text(max_size=60) | st.sampled_from(list(POLICY_KEYS)).map(lambda key: f"{POLICY}{key} = "), end=st.text()
)
def test_any_text_gives_a_policy_or_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, end: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes((text + end).encode("utf-8", "surrogatepass"))
    try:
        policy = load_policy(path)
    except ConfigurationError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(policy, UpgradePolicy)


# What other readers of the section build on


def test_the_section_holds_its_tables(project: Path) -> None:
    project.write_text("[tool.asgi-upgrade.check]\nws-paths = ['/ws']\n", encoding="utf-8")
    section = load_section(project)
    assert section.table("policy") is None
    check = section.table("check")
    assert check == Table(path=str(project), name="tool.asgi-upgrade.check", values={"ws-paths": ["/ws"]})
    assert check.read({"ws-paths": STRINGS}) == {"ws_paths": ["/ws"]}


def test_a_file_without_the_section_has_an_empty_one(project: Path) -> None:
    project.write_text("", encoding="utf-8")
    assert load_section(project) == Table(path=str(project), name="tool.asgi-upgrade", values={})


def test_an_error_cannot_be_broken_by_the_name_of_the_file() -> None:
    table = Table(path='a"\n.toml', name="tool.x", values={})
    assert re.fullmatch(r'a\\x22\\x0a\.toml: tool\.x\.k="v": write w', str(table.error("k", "v", "write w")))
