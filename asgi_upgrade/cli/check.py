"""The command ``check``: settings and options become a run, and a run becomes reports and an exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import click

from asgi_upgrade import __version__
from asgi_upgrade.check.config.baseline import DAYS, TABLE, Baseline, baseline, edited, printed
from asgi_upgrade.check.config.ignores import IgnoreEntry, apply_ignores, mark, pinned_to, stale
from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.config.settings import Settings, find_settings, load_settings
from asgi_upgrade.check.reports.concise import unchecked
from asgi_upgrade.check.reports.layout import UNWATCHED, Layout
from asgi_upgrade.check.reports.outlet import LINES, Outlet, parse_outlets, write_reports
from asgi_upgrade.check.result import FailOn, Location, Report, TargetReport
from asgi_upgrade.check.run import check
from asgi_upgrade.check.session import Progress
from asgi_upgrade.check.targets.location import locate_app, locate_key, locate_table, parse_source
from asgi_upgrade.check.targets.serving import importable
from asgi_upgrade.cli.console import say
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.text import quote

FLAGS: Mapping[str, str] = {
    "server": "server",
    "server_options": "server_option",
    "factory": "factory",
    "ws_paths": "ws_path",
    "http_only": "http_only",
    "http_paths": "http_path",
    "headers": "header",
    "origin": "origin",
    "subprotocols": "subprotocol",
    "timeout": "timeout",
    "wait": "wait",
    "jobs": "jobs",
    "select": "select",
    "ignore": "ignore",
    "allow_hosts": "allow_host",
}
"""The fields of CheckOptions, and the option of the command line for each."""

_EXCLUSIVE = (
    ("config", "isolated"),
    ("verbose", "quiet"),
    ("no_ignores", "write_ignores"),
    ("no_ignores", "prune_ignores"),
    ("isolated", "prune_ignores"),
)

CI_VARIABLES = ("CI", "GITHUB_ACTIONS")
"""What tells that nobody is watching."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the command.

    Args:
        targets: What is checked.
        options: How.
        settings: What the project's file says.
        fail_on: The lowest level that fails it.
        outlets: Where the reports go.
        layout: How they look.
        source: Where findings are pinned to, if the user says so.
        folders: Where modules are looked for before the working directory.
    """

    targets: tuple[str, ...]
    options: CheckOptions
    settings: Settings
    fail_on: FailOn
    outlets: tuple[Outlet, ...]
    layout: Layout
    source: str | None
    folders: tuple[Path, ...]


def run_check(given: Mapping[str, Any]) -> int:
    """Carry out the command.

    Args:
        given: The options of the command line by their names.

    Returns:
        The exit code.

    Raises:
        click.UsageError: An option, or a key of the project's file, cannot mean what was written.
    """
    run = _prepare(given)
    if given["list_"]:
        for probe in run.options.probes():
            say(f"{probe.name}  {probe.rule.level}  {probe.title}; expected: {probe.expected}\n")
        return 0
    if not run.targets:
        raise click.UsageError("name a TARGET, or set app in [tool.asgi-upgrade.check]")
    try:
        report = _pinned(_checked(run, quiet=given["quiet"]), run)
        if given["prune_ignores"]:
            run = _pruned(report, run)
        if given["write_ignores"]:
            _write_ignores(report, run, given["until"])
            click.echo(unchecked(report), err=True, nl=False)
        else:
            report = report if given["no_ignores"] else _ignored(report, run)
            write_reports(report, run.outlets, run.layout, echo=_echo(run.outlets))
    except ConfigurationError as error:
        raise _usage(_from_file(error, given, run.settings)) from error
    forgiven = given["exit_zero"] or given["write_ignores"]
    return 0 if report.exit_code == 1 and forgiven else report.exit_code


# Options and settings


def _prepare(given: Mapping[str, Any]) -> Run:
    for one, other in _EXCLUSIVE:
        if given[one] and given[other]:
            raise click.UsageError(f"--{_dashed(one)} and --{_dashed(other)} exclude each other")
    if given["until"] and not given["write_ignores"]:
        raise click.UsageError("--until says how long what --write-ignores writes holds; add that")
    if given["until"] and given["until"].date() < datetime.now(UTC).date():
        raise click.UsageError(f"--until={given['until'].date()}: name a day that is not over")
    try:
        settings = _settings(given)
        fail_on = given["fail_on"] or settings.fail_on or "must"
        chosen = {**settings.options, **_chosen(given), "policy": settings.policy}
        if given["ws_path"] and not given["http_only"]:
            chosen.pop("http_only", None)  # the command line goes before the file
        if given["server_option"]:
            chosen["server_options"] = {**settings.options.get("server_options", {}), **chosen["server_options"]}
        targets = given["targets"] or ((settings.app,) if settings.app else ())
        found = not given["config"] and not given["report"]
        if found and any("://" in target for target in targets):
            settings.keep_within()
        return Run(
            targets=targets,
            folders=(settings.path.resolve().parent,) if settings.path is not None and not given["targets"] else (),
            options=CheckOptions(**chosen),
            settings=settings,
            fail_on=fail_on,
            outlets=parse_outlets(given["report"]) if given["report"] else settings.outlets(),
            layout=_layout(given),
            source=given["source"] or settings.source,
        )
    except ConfigurationError as error:
        raise _usage(error) from error


def _settings(given: Mapping[str, Any]) -> Settings:
    if given["isolated"]:
        return Settings()
    path = Path(given["config"]) if given["config"] else find_settings(Path.cwd())
    return Settings() if path is None else load_settings(path)


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of CheckOptions that the command line sets."""
    unset = (None, (), False)
    chosen = {name: given[flag] for name, flag in FLAGS.items() if not any(given[flag] is each for each in unset)}
    if "headers" in chosen:
        chosen["headers"] = tuple(map(_header, chosen["headers"]))
    if "server_options" in chosen:
        chosen["server_options"] = dict(map(_server_option, chosen["server_options"]))
    return chosen


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError("-H: write NAME:VALUE")  # Without quoting it: it may be a secret.
    return name.strip(), value.strip()


def _server_option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--server-option={quote(text)}: write KEY=VALUE")
    return key.replace("-", "_"), value


def _usage(error: ConfigurationError) -> click.UsageError:
    """Say it with the names of the command line; an error in a file names that itself."""
    flag = FLAGS.get(error.option)
    if error.option in ("report", "server_option"):
        flag = error.option
    return click.UsageError(f"--{_dashed(flag)}={quote(error.value)}: {error.remedy}" if flag else str(error))


def _from_file(error: ConfigurationError, given: Mapping[str, Any], settings: Settings) -> ConfigurationError:
    """Name the file and the key, if what cannot mean what was written stands there and not on the command line."""
    written = (text.partition("=")[0].replace("_", "-") for text in given["server_option"])
    if error.option == "target" and not given["targets"]:
        key = "app"
    elif error.option == "server_option" and str(error.value).replace("_", "-") not in written:
        key = f"server-options.{error.value}"
    else:
        return error
    return ConfigurationError(f"{settings.path}: tool.asgi-upgrade.check.{key}", error.value, error.remedy)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _layout(given: Mapping[str, Any]) -> Layout:
    detail: Any = "verbose" if given["verbose"] else "quiet" if given["quiet"] else "normal"
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNWATCHED
    color = _has_color(given["color"])
    return Layout(detail=detail, color=color, width=width, now=datetime.now(UTC), version=__version__)


def _has_color(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


# The run


def _checked(run: Run, *, quiet: bool) -> Report:
    # What an application prints when it is imported must not end up in a report.
    with (
        _progress(quiet=quiet) as progress,
        contextlib.redirect_stdout(sys.stderr),
        importable(*run.folders),
        _orderly_end() as ended,
    ):
        report = check(run.targets, run.options, fail_on=run.fail_on, progress=progress, keep_interrupted=True)
    return replace(report, terminated=bool(ended))


@contextlib.contextmanager
def _orderly_end() -> Iterator[list[int]]:
    """Let SIGTERM end the run as Ctrl-C does, for a server that was started has to be stopped; yield what came."""
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)
        interrupt = signal.getsignal(signal.SIGINT)  # while a loop runs, its own
        if not callable(interrupt):  # ignored, as in the background of a shell
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    """Show progress on a terminal that somebody watches."""
    if quiet or not sys.stderr.isatty() or any(os.environ.get(name) for name in CI_VARIABLES):
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and only a terminal needs it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415 - as above
    from rich.progress import Progress as Bar  # noqa: PLC0415 - as above

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("checking", total=None)
        yield lambda _, done, total: bar.update(task, completed=done, total=total)


def _pinned(report: Report, run: Run) -> Report:
    """Give every target a place that its findings are pinned to."""
    root = _root()
    return replace(
        report, targets=tuple(replace(target, location=_place(target, run, root)) for target in report.targets)
    )


def _place(target: TargetReport, run: Run, root: Path) -> Location | None:
    if run.source:
        return parse_source(run.source)
    if target.location is not None:
        return target.location
    found = locate_app(target.name, (*run.folders, Path.cwd(), *map(Path, sys.path)), root)
    if found is None and run.settings.path is not None:
        return locate_table(run.settings.path, "tool.asgi-upgrade", root)
    return found


def _root() -> Path:
    """Return the root of the repository that this folder is in, or this folder."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _ignored(report: Report, run: Run) -> Report:
    path, ignores = run.settings.path, run.settings.ignores
    if path is None or not ignores:
        return report
    root = _root()
    place = locate_table(path, TABLE, root)
    return apply_ignores(
        report,
        ignores,
        today=run.layout.now.date(),
        pinned=pinned_to(place.file, place),
        line=lambda probe: locate_key(path, TABLE, probe, root),
    )


def _pruned(report: Report, run: Run) -> Run:
    """Take out of the project's file the ignores that hide nothing any more."""
    path, ignores, today = run.settings.path, run.settings.ignores, run.layout.now.date()
    gone = stale(mark(report, ignores, today=today), ignores, today=today)
    if path is None or not gone:
        click.echo("no ignore is to be removed", err=True)
        return run
    names = ", ".join(ignore.probe for ignore in gone)
    if not _edit(path, None, gone):
        raise ConfigurationError("prune_ignores", path, f"its table {TABLE} cannot be edited; remove {names} yourself")
    click.echo(f"{path}: removed {names}", err=True)
    return replace(run, settings=replace(run.settings, ignores=tuple(each for each in ignores if each not in gone)))


def _write_ignores(report: Report, run: Run, until: datetime | None) -> None:
    """Write what fails now into the project's table of ignores; where there is none, show the table."""
    path, ignores, today = run.settings.path, run.settings.ignores, run.layout.now.date()
    last = until.date() if until else today + timedelta(days=DAYS)
    found = baseline(mark(report, ignores, today=today), ignores, today=today, until=last)
    if path is None or not _edit(path, found, ()):
        say(printed(found))
        where = "the project's pyproject.toml" if path is None else f"{path}, which has none to edit"
        click.echo(f"nothing is written; add this table to {where}; a line behind a # is for you to sign", err=True)
        return
    names = [ignore.probe for ignore in found.written]
    say(f"{path}: {'wrote ' + ', '.join(names) if names else 'nothing is to be written'}\n")
    if found.unsigned:
        unsigned = ", ".join(ignore.probe for ignore in found.unsigned)
        say(f"{path}: a hole is nobody's to sign away but yours; if it is meant, take the # away from {unsigned}\n")


def _edit(path: Path, found: Baseline | None, gone: Sequence[IgnoreEntry]) -> bool:
    """Change the table of ignores in a file; tell whether it is one that could be changed."""
    try:
        text = path.read_bytes().decode()
        changed = edited(text, found, gone)
        if changed is not None and changed != text:
            path.write_bytes(changed.encode())
    except OSError as error:
        raise ConfigurationError("config", path, f"cannot be written ({error.strerror or error})") from error
    return changed is not None


def _echo(outlets: Sequence[Outlet]) -> Any:
    """Return what writes to the standard output: documents in UTF-8, lines in what the terminal can show."""
    lines = all(outlet.format in LINES for outlet in outlets if outlet.path is None)
    encoding = (sys.stdout.encoding or "utf-8") if lines else "utf-8"
    return lambda text: say(text.encode(encoding, "backslashreplace"))
