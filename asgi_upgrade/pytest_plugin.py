"""The pytest plugin: a fixture, and one test for each rule if a project asks for them.

It imports nothing of the checker until a check is asked for: a run that does not use it pays for nothing, and what a
project measures of its own code is not disturbed. It writes no report of its own either; ``-k``, ``--deselect``,
``--junitxml`` and xdist do with these items what they do with any other.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from asgi_upgrade.check.assertion import Checked
    from asgi_upgrade.check.config.options import CheckOptions
    from asgi_upgrade.check.result import Report
    from asgi_upgrade.types import ASGIApp

INI = "asgi_upgrade_app"
"""The key that asks for collection: a URL or ``module:attr``."""

_GROUP = "asgi-upgrade"
_OWN = ("unused-ignore", "expired-ignore")
"""Rules on the ignores of the project; a finding on them is a warning where it does not fail, for nobody asked."""


class UpgradeCheck(Protocol):
    """What the fixture is."""

    def __call__(self, *targets: str | ASGIApp, **options: Any) -> Checked:
        """Check targets; options are fields of ``asgi_upgrade.check.config.options.CheckOptions``."""
        ...


@pytest.fixture
def upgrade_check() -> UpgradeCheck:
    """Check an ASGI application, an import string or a URL: ``upgrade_check(app).assert_clean(fail_on="must")``."""
    from asgi_upgrade.check.assertion import checked  # noqa: PLC0415 - not until used

    return checked


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the key."""
    parser.addini(INI, "Check this app (module:attr) or URL: one test for each rule of asgi-upgrade.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the file that the key stands in, unless the user names what to collect."""
    if not config.getini(INI):
        return
    config.addinivalue_line("markers", "xdist_group(name): kept on one worker by pytest-xdist's --dist loadgroup.")
    if config.inipath is None:
        raise pytest.UsageError(f"{INI} is set by no file: write it in pyproject.toml, pytest.ini or tox.ini")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args.append(str(config.inipath))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Make the file that the key stands in a collector."""
    if file_path != parent.config.inipath or not parent.config.getini(INI):
        return None
    return RuleFile.from_parent(parent, path=file_path)


class RuleFile(pytest.File):
    """The rules that are selected, as tests."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._report: Report | None = None

    def collect(self) -> Iterable[pytest.Item]:
        """Yield a test for each rule that has a probe."""
        options = self._options()
        self._check_target(options)
        rules = dict.fromkeys(probe.rule.id for probe in options.probes())
        own = _OWN if self._settings().ignores else ()
        return [RuleItem.from_parent(self, name=rule_id) for rule_id in (*rules, *own)]

    def report(self) -> Report:
        """Return what came of the check; the first test that asks makes it, for all that are to run."""
        from asgi_upgrade.check.config.ignores import apply_ignores, pinned_to  # noqa: PLC0415 - not until used
        from asgi_upgrade.check.run import check  # noqa: PLC0415 - as above
        from asgi_upgrade.errors import ConfigurationError  # noqa: PLC0415 - as above

        if self._report is None:
            settings = self._settings()
            wanted = {item.name for item in self.session.items if isinstance(item, RuleItem) and item.parent is self}
            probes = [probe.name for probe in self._options().probes() if probe.rule.id in wanted]
            options = self._options(select=tuple(probes)) if probes else self._options()
            try:
                report = check([self.config.getini(INI)], options, fail_on=settings.fail_on or "must")
            except ConfigurationError as error:  # of the server's own options, which it alone knows
                raise RuleFailed(f"could not be checked\n{error}") from error
            self._report = apply_ignores(
                report, settings.ignores, today=_today(), pinned=pinned_to(str(settings.path), None)
            )
        return self._report

    def _check_target(self, options: CheckOptions) -> None:
        """Tell of a mistake in the key once, before there are tests of it."""
        from asgi_upgrade.check.targets.target import parse_target  # noqa: PLC0415 - as above
        from asgi_upgrade.errors import ConfigurationError  # noqa: PLC0415 - as above

        try:
            parse_target(self.config.getini(INI), options)
        except ConfigurationError as error:
            raise pytest.UsageError(f"{self.path}: {INI}={error.value!r}: {error.remedy}") from error

    def _settings(self) -> Any:
        from asgi_upgrade.check.config.settings import Settings, find_settings, load_settings  # noqa: PLC0415 - as above

        path = find_settings(self.path.parent)
        return Settings() if path is None else load_settings(path)

    def _options(self, **changes: Any) -> CheckOptions:
        from asgi_upgrade.check.config.options import CheckOptions  # noqa: PLC0415 - as above
        from asgi_upgrade.errors import ConfigurationError  # noqa: PLC0415 - as above

        try:
            settings = self._settings()
            return CheckOptions(**{**settings.options, "policy": settings.policy, **changes})
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error


def _today() -> Any:
    from datetime import date  # noqa: PLC0415 - not until used

    return date.today()


class RuleFailed(Exception):
    """A rule is not met; the text is what is known of it."""


class RuleItem(pytest.Item):
    """One rule, over all its probes and paths."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._file: RuleFile = given["parent"]
        self.add_marker(pytest.mark.xdist_group(_GROUP))

    def runtest(self) -> None:
        """Fail with the finding; skip with the reason."""
        from asgi_upgrade.check.assertion import verdict_on  # noqa: PLC0415 - not until used

        verdict, text = verdict_on(self._file.report(), self.name)
        if verdict == "fail":
            raise RuleFailed(text)
        if verdict == "skip" and self.name not in _OWN:
            pytest.skip(text)
        if self.name in _OWN:
            if verdict == "pass":
                warnings.warn(pytest.PytestWarning(text), stacklevel=1)
        elif text:
            self.add_report_section("call", "asgi-upgrade", text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the finding, and no traceback."""
        if isinstance(excinfo.value, RuleFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the rule."""
        return self.path, None, f"asgi-upgrade: {self.name}"
