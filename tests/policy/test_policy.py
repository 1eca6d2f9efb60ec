from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import pickle
import re
from typing import Any, cast, get_type_hints

import pytest

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import PolicyFields, UpgradePolicy
from asgi_upgrade.policy.origins import LOCALHOST
from asgi_upgrade.policy.websocket import UNSET, Deflate, Limits, WebSocketOptions
from asgi_upgrade.types import Scope


def admit(origin: str, scope: Scope) -> bool:
    return True


async def admit_later(origin: str, scope: Scope) -> bool:
    return True


class AsyncCheck:
    async def __call__(self, origin: str, scope: Scope) -> bool:
        return True


class Check:
    def __call__(self, origin: str, scope: Scope) -> bool:
        return True


# The options in their two shapes


def test_the_typed_dict_and_the_dataclass_have_the_same_options() -> None:
    options = {option.name for option in dataclasses.fields(UpgradePolicy) if option.init}
    assert list(PolicyFields.__annotations__) == [o.name for o in dataclasses.fields(UpgradePolicy) if o.init]
    declared, accepted = get_type_hints(UpgradePolicy), get_type_hints(PolicyFields)
    assert {name: declared[name] for name in options} == accepted


def test_no_option_is_required() -> None:
    assert PolicyFields.__required_keys__ == frozenset()
    assert UpgradePolicy() == UpgradePolicy.of({})


def test_options_are_given_by_name_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        UpgradePolicy("strict")  # type: ignore[call-arg] # the mistake under test


def test_the_websocket_options_and_the_limits_have_the_same_names_and_defaults() -> None:
    options = {option.name: option.default for option in dataclasses.fields(WebSocketOptions)}
    limits = {limit.name: limit.default for limit in dataclasses.fields(Limits)}
    assert options.keys() == limits.keys()
    assert {name: value for name, value in options.items() if value is not UNSET} == {
        name: limits[name] for name, value in options.items() if value is not UNSET
    }


def test_defaults_are_the_documented_ones() -> None:
    policy = UpgradePolicy()
    assert (policy.mode, policy.strict, policy.checks_origin) == ("strict", True, True)
    assert policy.allow_missing_origin is True
    assert (policy.max_head_size, policy.max_body_size) == (65536, 65536)
    assert (policy.allowed_hosts, policy.subprotocols, policy.h2c, policy.unknown_protocols) == (None,) * 4
    assert (policy.require_subprotocol, policy.guard_responses, policy.report_only) == (False, False, False)
    assert WebSocketOptions().limits({}) == Limits()


@pytest.mark.parametrize("options", [UpgradePolicy, WebSocketOptions])
def test_docstring_says_the_default_of_every_option(options: type[UpgradePolicy | WebSocketOptions]) -> None:
    documented = inspect.getdoc(options) or ""
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", documented.partition("Args:\n")[2], re.MULTILINE)
    names = [option.name for option in dataclasses.fields(options) if option.init]
    assert [name for name, _ in entries if name in names] == names
    assert [name for name, text in entries if name in names and "default" not in text] == []


# Values


def test_lists_become_tuples() -> None:
    policy = UpgradePolicy(
        allow_origins=["https://shop.example"],
        allowed_hosts=LOCALHOST,
        trusted_proxies=iter(["127.0.0.1"]),  # type: ignore[arg-type] # what the types forbid still works once
        subprotocols=["chat"],
        websocket_only=["/ws/{room}"],
    )
    assert policy.allow_origins == ("https://shop.example",)
    assert policy.allowed_hosts == tuple(LOCALHOST)
    assert policy.trusted_proxies == ("127.0.0.1",)
    assert policy.subprotocols == ("chat",)
    assert policy.websocket_only == ("/ws/{room}",)
    assert policy.proxies.trusts(("127.0.0.1", 1))


def test_lists_are_compiled() -> None:
    policy = UpgradePolicy(
        allow_origins=["*"],
        allow_origin_regex="https://[a-z]+",
        allowed_hosts=["shop.example"],
        trusted_proxies=["unix"],
        websocket_only=["/ws", "/feed"],
    )
    assert policy.origins.any
    assert policy.origin_pattern == re.compile("https://[a-z]+")
    assert policy.hosts is not None
    assert policy.proxies.trusts("unix")
    assert [pattern.matches("/feed") for pattern in policy.websocket_paths] == [False, True]


def test_without_allowed_hosts_there_are_no_host_rules() -> None:
    assert UpgradePolicy().hosts is None


@pytest.mark.parametrize(
    "check", [None, False, admit, Check(), functools.partial(admit)], ids=["none", "false", "def", "object", "partial"]
)
def test_check_origin_is_a_plain_callable_or_false(check: Any) -> None:
    assert UpgradePolicy(check_origin=check).check_origin is check


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"mode": "strickt"}, 'mode="strickt": write "strict" or "lenient"; did you mean', id="mode"),
        pytest.param({"mode": None}, 'mode=None: write "strict" or "lenient"', id="mode-none"),
        pytest.param({"mode": ["strict"]}, 'write "strict" or "lenient"', id="mode-list"),
        pytest.param({"h2c": "accept"}, 'h2c="accept": write "ignore" or "reject"', id="h2c"),
        pytest.param({"h2c": False}, 'h2c=False: write "ignore" or "reject", or None', id="h2c-false"),
        pytest.param({"unknown_protocols": "Reject"}, "did you mean 'reject'?", id="unknown-protocols"),
        pytest.param({"allow_missing_origin": 0}, "allow_missing_origin=0: write True or False", id="flag-number"),
        pytest.param({"allow_missing_origin": None}, "write True or False", id="flag-none"),
        pytest.param({"require_subprotocol": "yes"}, 'require_subprotocol="yes": write True or False', id="flag-str"),
        pytest.param({"guard_responses": "no"}, 'guard_responses="no": write True or False', id="guard-responses"),
        pytest.param({"max_head_size": 0}, "max_head_size=0: write a whole number above 0", id="size-zero"),
        pytest.param({"report_only": 1}, "report_only=1: write True or False", id="report-only"),
        pytest.param({"max_body_size": 0}, "max_body_size=0: write a whole number above 0", id="body-zero"),
        pytest.param({"max_head_size": -1}, "write a whole number above 0", id="size-negative"),
        pytest.param({"max_head_size": 65536.0}, "write a whole number above 0", id="size-float"),
        pytest.param({"max_head_size": "64k"}, "write a whole number above 0", id="size-str"),
        pytest.param({"max_head_size": True}, "write a whole number above 0", id="size-true"),
        pytest.param({"max_head_size": None}, "write a whole number above 0", id="size-none"),
        pytest.param(
            {"max_connections": 0}, "max_connections=0: write a whole number above 0, or None", id="no-connections"
        ),
        pytest.param({"max_connections": "100"}, 'max_connections="100": write a whole number', id="number-as-str"),
        pytest.param({"max_connections_per_client": 1.5}, "write a whole number above 0", id="half-a-connection"),
        pytest.param({"websocket": {"max_size": 1}}, "write WebSocketOptions(...)", id="websocket-dict"),
        pytest.param({"websocket": None}, "websocket=None: write WebSocketOptions(...)", id="websocket-none"),
        pytest.param(
            {"allow_origins": "https://shop.example"}, 'write a list, such as ["https://shop.example"]', id="bare-str"
        ),
        pytest.param({"allow_origins": None}, "allow_origins=None: write a list", id="list-none"),
        pytest.param({"allow_origins": [b"https://a"]}, "entries are str, not bytes", id="list-of-bytes"),
        pytest.param({"allow_origins": ["shop.example"]}, 'write "https://shop.example"', id="origin-without-scheme"),
        pytest.param({"allow_origin_regex": "("}, "allow_origin_regex=", id="regex"),
        pytest.param({"allow_origin_regex": re.compile(b"a")}, "write the pattern as str", id="regex-of-bytes"),
        pytest.param({"allowed_hosts": ["*"]}, "leave allowed_hosts out to accept any host", id="hosts-star"),
        pytest.param({"allowed_hosts": []}, "leave allowed_hosts out to accept any host, or name one", id="no-hosts"),
        pytest.param({"allowed_hosts": "localhost"}, 'write a list, such as ["localhost"], or None', id="hosts-str"),
        pytest.param({"trusted_proxies": "unix"}, 'trusted_proxies="unix": write a list', id="proxies-str"),
        pytest.param({"trusted_proxies": ["proxy.local"]}, 'trusted_proxies="proxy.local": ', id="proxy-name"),
        pytest.param({"websocket_only": "/ws"}, 'write a list, such as ["/ws"]', id="paths-str"),
        pytest.param({"websocket_only": ["ws"]}, 'websocket_only="ws": write "/ws"', id="path-without-slash"),
        pytest.param({"subprotocols": "chat"}, 'write a list, such as ["chat"]', id="subprotocols-str"),
        pytest.param({"subprotocols": ["chat/1"]}, 'subprotocols="chat/1": a subprotocol name is a token', id="slash"),
        pytest.param({"subprotocols": ["chat", ""]}, 'subprotocols="": a subprotocol name is a token', id="empty-name"),
        pytest.param({"subprotocols": ["café"]}, "a subprotocol name is a token", id="name-not-ascii"),
        pytest.param({"subprotocols": ["\ud800"]}, "a subprotocol name is a token", id="name-lone-surrogate"),
        pytest.param({"check_origin": True}, "write a function of (origin, scope), False or None", id="check-true"),
        pytest.param({"check_origin": 0}, "write a function of (origin, scope), False or None", id="check-zero"),
        pytest.param({"check_origin": "https://a"}, "write a function of (origin, scope)", id="check-str"),
        pytest.param({"check_origin": admit_later}, "write a plain function; it is not awaited", id="check-async"),
        pytest.param({"check_origin": functools.partial(admit_later)}, "it is not awaited", id="check-async-partial"),
        pytest.param({"check_origin": AsyncCheck()}, "it is not awaited", id="check-async-object"),
        pytest.param(
            {"check_origin": False, "allow_origins": ["https://a"]},
            "check_origin=False: it turns the origin check off; remove it or the other origin options",
            id="check-off-with-origins",
        ),
        pytest.param({"check_origin": False, "allow_origin_regex": "a"}, "it turns", id="check-off-with-regex"),
        pytest.param({"check_origin": False, "allow_origin_regex": ""}, "it turns", id="check-off-with-empty-regex"),
        pytest.param({"check_origin": False, "allow_missing_origin": False}, "it turns", id="check-off-with-missing"),
    ],
)
def test_a_mistake_is_refused_with_what_to_write(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        UpgradePolicy.of(options)
    assert text in str(caught.value)
    assert caught.value.option in options


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("allow_origin", "; did you mean 'allow_origins'?", id="singular"),
        pytest.param("allow-origins", "; did you mean 'allow_origins'?", id="kebab-case"),
        pytest.param("subprotocol", "; did you mean 'subprotocols'?", id="subprotocol"),
        pytest.param("max_size", "; write websocket=WebSocketOptions(max_size=...)", id="of-the-websocket"),
        pytest.param("ping_intervall", "; write websocket=WebSocketOptions(ping_interval=...)", id="misspelt-too"),
        pytest.param("max-head-sise", "; did you mean 'max_head_size'?", id="near-both"),
        pytest.param("xyz", "", id="nothing-near"),
        pytest.param("origins", "; did you mean 'allow_origins'?", id="compiled-form"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(name: str, hint: str) -> None:
    wrong: Any = {name: ["a"]}
    for make in (
        UpgradePolicy.of,
        lambda options: UpgradePolicy.lenient(**options),
        lambda options: UpgradePolicy(**options),
    ):
        with pytest.raises(TypeError) as caught:
            make(wrong)
        assert str(caught.value) == f"there is no option {name!r}{hint}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("allow_methods", "a WebSocket handshake is always a GET; leave it out", id="methods"),
        pytest.param("allow_headers", "no script can add fields to a WebSocket handshake; leave it out", id="headers"),
        pytest.param(
            "allow_credentials",
            "browsers send cookies with every WebSocket handshake; allow_origins says whose pages may",
            id="credentials",
        ),
        pytest.param(
            "expose_headers",
            "no script sees the fields of the answer to a WebSocket handshake; leave it out",
            id="exposed-headers",
        ),
        pytest.param(
            "max_age",
            "no browser asks before a WebSocket handshake, so there is nothing to remember; leave it out",
            id="max-age",
        ),
    ],
)
def test_an_option_of_cors_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(TypeError) as caught:
        UpgradePolicy.of({name: True})
    assert str(caught.value) == f"there is no option {name!r}, which CORSMiddleware has: {why}"


@pytest.mark.parametrize(
    ("make", "name", "hint"),
    [
        pytest.param(WebSocketOptions, "ping_intervall", "; did you mean 'ping_interval'?", id="options"),
        pytest.param(WebSocketOptions, "max-size", "; did you mean 'max_size'?", id="kebab-case"),
        pytest.param(Deflate, "treshold", "; did you mean 'threshold'?", id="deflate"),
        pytest.param(Deflate, "xyz", "", id="nothing-near"),
    ],
)
def test_an_unknown_option_of_the_websocket_is_refused_with_the_nearest(make: Any, name: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        make(**{name: 1})
    assert str(caught.value) == f"there is no option {name!r}{hint}"


@pytest.mark.parametrize(
    "options", [UpgradePolicy(allowed_hosts=["a"]), WebSocketOptions(max_size=1), Deflate(threshold=1)]
)
def test_options_can_be_copied_and_pickled(options: Any) -> None:
    assert copy.deepcopy(options) == options
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 - what was pickled in the same line
    assert dataclasses.replace(options) == options


# The mode


def test_lenient_is_the_policy_of_that_mode_with_its_options() -> None:
    assert UpgradePolicy.lenient() == UpgradePolicy(mode="lenient")
    assert not UpgradePolicy.lenient().strict
    assert UpgradePolicy.lenient(h2c="reject") == UpgradePolicy(mode="lenient", h2c="reject")
    with pytest.raises(TypeError, match="did you mean 'h2c'"):
        UpgradePolicy.lenient(h2="ignore")  # type: ignore[call-arg] # the mistake under test


def test_lenient_cannot_be_strict() -> None:
    with pytest.raises(ConfigurationError, match=r"mode=\"strict\": write UpgradePolicy"):
        UpgradePolicy.lenient(mode="strict")
    assert UpgradePolicy.lenient(mode="lenient") == UpgradePolicy.lenient()


@pytest.mark.parametrize(
    ("options", "strict", "lenient"),
    [
        pytest.param({}, True, False, id="default"),
        pytest.param({"allow_origins": ["https://a"]}, True, True, id="listed"),
        pytest.param({"allow_origin_regex": "https://a"}, True, True, id="regex"),
        pytest.param({"allow_origin_regex": ""}, True, True, id="empty-regex"),
        pytest.param({"allow_missing_origin": False}, True, True, id="missing-not-allowed"),
        pytest.param({"check_origin": admit}, True, True, id="function"),
        pytest.param({"check_origin": False}, False, False, id="off"),
        pytest.param({"allowed_hosts": ["a"], "trusted_proxies": ["unix"]}, True, False, id="no-origin-option"),
    ],
)
def test_origin_is_checked_unless_lenient_has_no_option_for_it(
    options: dict[str, Any], strict: bool, lenient: bool
) -> None:
    assert UpgradePolicy.of(options).checks_origin is strict
    assert UpgradePolicy.of({**options, "mode": "lenient"}).checks_origin is lenient


# Policies as values


def test_policies_are_compared_by_their_options() -> None:
    first = UpgradePolicy(allow_origins=["https://a"], websocket_only=["/{name}"])
    second = UpgradePolicy(allow_origins=("https://a",), websocket_only=("/{name}",))
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second, UpgradePolicy(), UpgradePolicy(mode="lenient")}) == 3


def test_policies_cannot_be_changed_but_replaced() -> None:
    policy = UpgradePolicy(allow_origins=["https://a"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.mode = "lenient"  # type: ignore[misc] # the mistake under test
    replaced = dataclasses.replace(policy, check_origin=admit, allow_origins=["https://b"])
    assert replaced == UpgradePolicy(allow_origins=["https://b"], check_origin=admit)
    assert replaced.origins != policy.origins


def test_the_compiled_forms_are_not_shown() -> None:
    assert "origins=OriginRules" not in repr(UpgradePolicy())
    assert repr(UpgradePolicy()).count("UNSET") == 4


# The bounds of upgraded connections


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"max_size": 0}, "max_size=0: write a whole number above 0", id="size-zero"),
        pytest.param({"max_size": None}, "write a whole number above 0", id="size-none"),
        pytest.param({"max_size": 1.5}, "write a whole number above 0", id="size-float"),
        pytest.param({"max_queue": True}, "max_queue=True: write a whole number above 0", id="queue-true"),
        pytest.param({"open_timeout": 0}, "open_timeout=0: write a number above 0", id="open-zero"),
        pytest.param({"open_timeout": None}, "write a number above 0", id="open-none"),
        pytest.param({"close_timeout": float("inf")}, "close_timeout=inf: write a number above 0", id="close-inf"),
        pytest.param({"close_timeout": float("nan")}, "close_timeout=nan: write a number above 0", id="close-nan"),
        pytest.param({"ping_interval": -1}, "ping_interval=-1: write a number above 0", id="interval-negative"),
        pytest.param(
            {"ping_interval": False}, "ping_interval=False: write a number above 0, or None", id="interval-false"
        ),
        pytest.param({"ping_timeout": "20"}, 'ping_timeout="20": write a number above 0, or None', id="timeout-str"),
        pytest.param({"engine": "wsprot"}, "did you mean 'wsproto'?", id="engine"),
        pytest.param({"engine": "websocket"}, "did you mean 'websockets'?", id="engine-for-speed"),
        pytest.param({"compression": True}, "compression=True: write Deflate(...) or None", id="compression-true"),
    ],
)
def test_a_bound_that_bounds_nothing_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WebSocketOptions(**options)
    assert text in str(caught.value)


SETTINGS = {"max_size": 1000, "max_queue": 3, "ping_interval": 7.0, "ping_timeout": None}


@pytest.mark.parametrize(
    ("options", "settings", "limits"),
    [
        pytest.param({}, {}, {}, id="defaults"),
        pytest.param({}, SETTINGS, SETTINGS, id="the-server's-settings"),
        pytest.param({"max_size": 5}, SETTINGS, {**SETTINGS, "max_size": 5}, id="an-option-before-a-setting"),
        pytest.param(
            {"ping_interval": None, "ping_timeout": 1},
            SETTINGS,
            {**SETTINGS, "ping_interval": None, "ping_timeout": 1},
            id="none-is-an-option-too",
        ),
        pytest.param(
            {"open_timeout": 1, "close_timeout": 2.5, "engine": "wsproto"},
            {"open_timeout": 99, "close_timeout": 99, "engine": "x"},
            {"open_timeout": 1, "close_timeout": 2.5, "engine": "wsproto"},
            id="only-four-settings-count",
        ),
        pytest.param({}, {"open_timeout": 99, "per_message_deflate": True}, {}, id="other-settings-are-left-alone"),
        pytest.param(
            {"compression": Deflate(threshold=9)},
            {"per_message_deflate": False, "compression": None},
            {"compression": Deflate(threshold=9)},
            id="compression-is-ours-alone",
        ),
    ],
)
def test_limits_come_from_options_then_settings_then_defaults(
    options: dict[str, Any], settings: dict[str, Any], limits: dict[str, Any]
) -> None:
    assert WebSocketOptions(**options).limits(settings) == Limits(**limits)


def test_relaxed_policy_keeps_what_is_no_reason_to_reject() -> None:
    policy = UpgradePolicy(
        allow_origins=["https://a.example"],
        allow_origin_regex="https://b",
        allow_missing_origin=False,
        check_origin=lambda *_: False,
        allowed_hosts=["a.example"],
        trusted_proxies=["10.0.0.1"],
        subprotocols=["chat"],
        require_subprotocol=True,
        h2c="reject",
        unknown_protocols="reject",
        websocket_only=["/ws"],
        max_head_size=1000,
        max_connections=1,
        max_connections_per_client=1,
        report_only=True,
    )
    kept = {"trusted_proxies": ["10.0.0.1"], "subprotocols": ["chat"], "max_head_size": 1000, "report_only": True}
    assert policy.relaxed() == UpgradePolicy(
        check_origin=False, h2c="ignore", unknown_protocols="ignore", **cast(Any, kept)
    )
