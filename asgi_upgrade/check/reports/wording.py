"""How a check is put into words: what every report says alike, as plain values and safe text.

Nothing here knows a format. Whatever came over a wire or from a user is made printable here, so that no report can be
broken by it: no control character, no bidirectional mark and no lone surrogate leaves this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asgi_upgrade.check.enforcement import HIDDEN_SOMEWHERE, by_middleware
from asgi_upgrade.check.result import SEVERITY, Location, Report, Result, TargetReport, Transcript
from asgi_upgrade.rules import Level, Rule
from asgi_upgrade.rules.checker import ALL_RULES
from asgi_upgrade.rules.connection import CONNECTION, SEEN
from asgi_upgrade.rules.http2 import HTTP2
from asgi_upgrade.rules.request import FRAMING, UPGRADE
from asgi_upgrade.rules.response import RESPONSE
from asgi_upgrade.rules.rule import ON_REQUEST
from asgi_upgrade.rules.websocket import WEBSOCKET
from asgi_upgrade.rules.wire import ACCEPTANCE, AGREEMENT, GRAMMAR

PROBLEM: Mapping[Level, str] = {"must": "error", "policy": "error", "should": "warning", "info": "note"}
"""What a failure is called: a breach of the user's policy is an error, as that of a MUST is."""

_AREAS = {
    "framing": FRAMING,
    "upgrade": UPGRADE,
    "websocket": WEBSOCKET,
    "response": RESPONSE,
    "acceptance": ACCEPTANCE,
    "agreement": AGREEMENT,
    "grammar": GRAMMAR,
    "connection": CONNECTION,
    "every answer": SEEN,
    "http2": HTTP2,
}
_AREA_OF = {rule.id: area for area, rules in _AREAS.items() for rule in rules}

_ADAPTER = "On uvicorn: --http asgi_upgrade.uvicorn:{adapter}, with UpgradeMiddleware in the app"

_WHERE = (
    ({"server"}, "In the server: neither an app nor a middleware sees this one."),
    ({"adapter", "server"}, f"In the server. {_ADAPTER}; middleware alone cannot see this one."),
    (
        {"middleware", "adapter", "server"},
        "In the server, or in the app: UpgradeMiddleware, added last so that it stands outermost.",
    ),
    ({"app", "middleware"}, "In the app, which answers this; UpgradeMiddleware raises or repairs it."),
    ({"app", "server"}, "In whichever answers, app or server."),
    (
        {"app", "middleware", "adapter", "server"},
        "In whichever answers, app or server; UpgradeMiddleware on the adapter sees to it.",
    ),
)
"""Where a rule can be met, by who can enforce it."""

_SOMETIMES_HIDDEN = f"In the server. {_ADAPTER}; middleware alone only where the server lets it see the request."
"""Where one can be met that some servers answer before a middleware is asked."""

_MEANT = {
    "ws-origin-check": "Say in [tool.asgi-upgrade.policy] who may connect; if any page may, also say why in "
    "[tool.asgi-upgrade.ignore]."
}
"""What to write if it is meant, where the policy alone does not settle it."""

SECURITY: Mapping[str, str] = {
    **dict.fromkeys(("cl-and-te", "te-not-final-chunked", "content-length-invalid", "field-crlf-nul"), "8.1"),
    **dict.fromkeys(("ws-body", "upgrade-http10-ignore", "ws-wait", "connect-with-upgrade"), "8.1"),
    **dict.fromkeys(("ws-origin-single", "ws-origin-value", "ws-origin-browser", "ws-origin-check"), "8.1"),
    **dict.fromkeys(("h2c-obsolete", "misdirected"), "6.5"),
}
"""``security-severity`` of the rules on smuggling and origins; only these are security alerts."""

NOWHERE = Location(file="pyproject.toml")
"""Where a finding is pinned to that has no location, in formats that show none without."""

_MIDDLEWARE = "UpgradeMiddleware"
_BY_ADAPTER = "UpgradeMiddleware on the adapter (--http asgi_upgrade.uvicorn:{adapter})"
_OPTION = "an option of its policy"
_REST = "the server or the app"
_BY = (
    _MIDDLEWARE,
    *(_BY_ADAPTER.format(adapter=name) for name in ("AutoProtocol", "ZttpProtocol")),
    _OPTION,
    _REST,
)
"""What can mend a failure, as the last line of a report has it."""

_SHORT = 220
_MARKS = {"\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_HASHES = "#\\x23"
"""How two of these are shown: runners of CI take ``##[`` and ``##vso[`` anywhere for a command, and ``::`` first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One failure, on however many paths it was seen alike.

    Args:
        target: The target.
        result: The first of the results.
        paths: Every path it was seen on.
    """

    target: TargetReport
    result: Result
    paths: tuple[str, ...]

    @property
    def location(self) -> Location | None:
        """Where it is pinned to: its own line, or that of the target."""
        return self.result.location or self.target.location


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many results came to what.

    Args:
        total: All of them.
        passed: Those that passed.
        failed: Those that failed, by level.
        ignored: Failures that the user has a reason to ignore.
        skipped: Those that were not exercised.
        errors: Those that could not be carried out.
    """

    total: int
    passed: int
    failed: Mapping[Level, int]
    ignored: int
    skipped: int
    errors: int


def findings(report: Report) -> list[Finding]:
    """Return the failures, most harmful first, those that differ in nothing but the path as one."""
    groups: dict[tuple[int, str, str], list[Result]] = {}
    targets: dict[tuple[int, str, str], TargetReport] = {}
    for number, target in enumerate(report.targets):
        for result in target.results:
            if result.verdict == "fail":
                key = (number, result.probe, result.message)
                groups.setdefault(key, []).append(result)
                targets[key] = target
    merged = [
        Finding(target=targets[key], result=group[0], paths=tuple(result.path for result in group))
        for key, group in groups.items()
    ]
    return sorted(merged, key=lambda finding: harm(finding.result.rule))


def harm(rule: Rule) -> tuple[bool, float, int]:
    """Return what puts rules in order by what a breach costs: hijacking first, other holes, then by level."""
    return not rule.id.startswith("ws-origin-"), -float(SECURITY.get(rule.id, "0")), SEVERITY[rule.level]


def counts(results: Iterable[Result]) -> Counts:
    """Count results by their verdicts."""
    known = tuple(results)
    verdicts = Counter(result.verdict for result in known)
    levels = Counter(result.rule.level for result in known if result.verdict == "fail")
    return Counts(
        total=len(known),
        passed=verdicts["pass"],
        failed={level: levels[level] for level in PROBLEM if levels[level]},
        ignored=verdicts["ignored"],
        skipped=verdicts["not-exercised"],
        errors=verdicts["error"],
    )


def summary(target: TargetReport, *, several: bool = False) -> str:
    """Say in one line what a target came to; among several, also which."""
    names = (target.name, target.served_by) if several else (target.served_by or target.name,)
    who = clean(", ".join(filter(None, names)))
    if target.problem is not None:
        return f"{clean(target.name)}: could not be checked: {clean(target.problem)}"
    count = counts(target.results)
    levels = ", ".join(f"{number} {level}" for level, number in count.failed.items())
    parts = [
        f"{count.total} check{'' if count.total == 1 else 's'}",
        f"{count.passed} passed",
        f"{sum(count.failed.values())} failed" + (f" ({levels})" if levels else ""),
    ]
    for number, what in (
        (count.ignored, "ignored"),
        (count.errors, "could not be probed"),
        (count.skipped, "not exercised"),
    ):
        if number:
            parts.append(f"{number} {what}")
    return f"{who}: {', '.join(parts)} in {target.duration:.1f} s"


def remedies(report: Report) -> str:
    """Say in one line what mends how many of the failures; nothing if there is none."""
    mended = Counter(_remedy(result.rule, target) for target, result in report.results() if result.verdict == "fail")
    parts = [f"by {who}: {mended[who]}" for who in sorted(mended, key=_BY.index)]
    return f"mended {'; '.join(parts)}" if parts else ""


def _remedy(rule: Rule, target: TargetReport) -> str:
    """Return what of ours would mend a failure that was seen on a target in spite of what stands there."""
    if target.guarded and rule.level == "policy":
        return _OPTION
    if by_middleware(rule) and rule.id not in HIDDEN_SOMEWHERE and not target.guarded:
        return _MIDDLEWARE
    if "adapter" not in rule.fixed_by or target.adapted:
        return _REST
    return _BY_ADAPTER.format(adapter=_adapter(rule))


def _adapter(rule: Rule) -> str:
    """Return the class of the adapter that meets a rule: one of them speaks HTTP/2, and the other needs less."""
    return "ZttpProtocol" if rule.id.startswith("h2-") else "AutoProtocol"


def not_exercised(results: Iterable[Result]) -> dict[str, list[str]]:
    """Return what was not exercised, by the reason: a rule, or the probe alone where another one of the rule was.

    What was to be sent is no part of a reason.
    """
    every = list(results)
    exercised = {result.rule.id for result in every if result.verdict != "not-exercised"}
    reasons: dict[str, dict[str, None]] = {}
    for result in every:
        if result.verdict == "not-exercised":
            name = result.probe if result.rule.id in exercised else result.rule.id
            reasons.setdefault(clean(result.message).rpartition(": ")[2], {})[name] = None
    return {reason: list(names) for reason, names in reasons.items()}


def rules_of(report: Report) -> list[Rule]:
    """Return every rule, in the order of the catalogue; behind them those of results that are not in it."""
    rules = dict(ALL_RULES)
    for _, result in report.results():
        rules.setdefault(result.rule.id, result.rule)
    return list(rules.values())


def area(rule: Rule) -> str:
    """Return the part of the catalogue that a rule belongs to; ``checker`` for the checker's own."""
    return _AREA_OF.get(rule.id, "checker")


def why(rule: Rule) -> str:
    """Say what asks for the rule, and what goes wrong without it."""
    return f"{rule.reference} ({rule.level.upper()}): {rule.why}"


def fix(rule: Rule) -> str:
    """Say where, and for a rule that only the checker judges also how, the rule can be met."""
    # The catalogue's own advice on a request is for whoever sent it, which here was the checker.
    advice = [rule.fix] if rule.strict == "observe" or not rule.fixed_by else []
    by = {*rule.fixed_by, *(("adapter", "server") if rule.id in HIDDEN_SOMEWHERE else ())}
    if by == set(ON_REQUEST) and rule.id in HIDDEN_SOMEWHERE:
        advice.append(_SOMETIMES_HIDDEN.format(adapter=_adapter(rule)))
    else:
        advice += [where.format(adapter=_adapter(rule)) for enforcers, where in _WHERE if enforcers == by]
    if rule.level == "policy":
        advice.append(_MEANT.get(rule.id, "If it is meant, say so in [tool.asgi-upgrade.policy]."))
    return " ".join(advice)


def place(finding: Finding) -> str:
    """Return where a finding is pinned to: ``app.py:12 (app:app)``, or the name of its target."""
    name = clean(finding.target.name)
    return f"{clean(finding.location.file)}:{finding.location.line} ({name})" if finding.location else name


def on_paths(finding: Finding) -> str:
    """Name the paths of a finding: ``on /ws``."""
    named = [clean(path) for path in finding.paths if path]
    return f"on {', '.join(named)}" if named else ""


def sentence(text: str) -> str:
    """Return a text as a sentence: first letter upper case, full stop at the end."""
    text = clean(text).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def clean(text: str) -> str:
    """Return a text on one line, with everything escaped that is not printable, or that a CI takes for a command."""
    shown = text if text.isprintable() else "".join(map(_escaped, text))
    shown = shown.replace("##", _HASHES)
    return shown.replace("::", "\\x3a:", 1) if shown.lstrip().startswith("::") else shown


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if char.isascii() else char.encode("ascii", "backslashreplace").decode("ascii")


def lines(data: bytes) -> list[str]:
    r"""Return octets as lines of printable ASCII that show them all.

    A line ends with CRLF where nothing is said; a bare LF shows as ``\n`` at its end, a bare CR as ``\r``, and any
    other octet as ``\xNN``.

    Args:
        data: The octets.

    Returns:
        The lines; none for no octets.
    """
    *whole, last = data.split(b"\n")
    shown = [_octets(line[:-1]) if line.endswith(b"\r") else _octets(line) + "\\n" for line in whole]
    return [*shown, _octets(last)] if last else shown


def _octets(data: bytes) -> str:
    shown = (
        _MARKS.get(char) or (char if " " <= char <= "~" else f"\\x{ord(char):02x}") for char in data.decode("latin-1")
    )
    return "".join(shown).replace("##", _HASHES)


def short(data: bytes) -> str:
    """Return octets on one line, the lines of a head parted by bars, cut off where it gets long."""
    if not data:
        return "nothing"
    text = " | ".join(line for line in lines(data[: 4 * _SHORT]) if line)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 4]} ..."


def reproduction(target: TargetReport, exchange: Transcript) -> str | None:
    """Return a shell command that sends the very octets again, or None where they or the address are not known.

    Args:
        target: The target, for its address; TLS if its name says so.
        exchange: What was sent.

    Returns:
        ``printf '...' | nc host port``. The format is of octal escapes and printable ASCII only, as POSIX has it.
    """
    host, _, port = target.address.rpartition(":")
    if not host or not port.isdecimal() or not exchange.sent or exchange.transcribed:
        return None
    host = _argument(host)
    secure = target.name.lower().startswith(("https:", "wss:"))
    pipe = f"openssl s_client -quiet -connect {host}:{port}" if secure else f"nc {host.strip('[]')} {port}"
    return f"printf '{_printf(exchange.sent)}' | {pipe}"


def _argument(host: str) -> str:
    return host if all(char.isalnum() or char in ".:-_%[]" for char in host) else "HOST"


def _printf(data: bytes) -> str:
    return "".join(_printf_octet(octet, index) for index, octet in enumerate(data))


def _printf_octet(octet: int, index: int) -> str:
    special = {0x0D: "\\r", 0x0A: "\\n", 0x25: "%%", 0x5C: "\\\\"}
    if octet in special:
        return special[octet]
    # A quote would end the argument, and a leading dash be taken for an option.
    plain = 0x20 <= octet <= 0x7E and octet != 0x27 and not (octet == 0x2D and index == 0)
    return chr(octet) if plain else f"\\{octet:03o}"
