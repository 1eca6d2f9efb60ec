"""The command line: commands, options and exit codes.

What a command does is imported when it runs, so that ``--help`` and ``rules`` load no server, no terminal library and
no probe. Exit codes: 0 clean, 1 failed, 2 wrong usage or an error of our own, 3 could not be checked, 130 interrupted,
143 terminated.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from asgi_upgrade import __version__
from asgi_upgrade.check.result import FAIL_ON
from asgi_upgrade.cli.console import say
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.text import quote, suggest

PROGRAM = "asgi-upgrade"

USAGE, INTERRUPTED = 2, 130


class Choice(click.Choice[str]):
    """One of several words; an error suggests the nearest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return what is wrong with a word."""
        return super().get_invalid_choice_message(value, ctx).rstrip(".") + suggest(str(value), map(str, self.choices))


def _listed(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """Split lists at their commas; a list of nothing is a mistake, not everything."""
    parts = tuple(part.strip() for value in values for part in value.split(",") if part.strip())
    if values and not parts:
        raise click.BadParameter("it names no rule; leave it out to mean all")
    return parts


def _many(*names: str, metavar: str, help: str, listed: bool = False) -> Callable[[Any], Any]:
    callback = _listed if listed else None
    return click.option(*names, metavar=metavar, help=help, multiple=True, callback=callback)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name=PROGRAM, prog_name=PROGRAM)
def cli() -> None:
    """HTTP protocol upgrade for ASGI: check how a server answers handshakes and Upgrade requests."""


@cli.command(short_help="Check servers and apps.")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@_many("--select", metavar="RULES", listed=True, help="Check these only, in a comma list: rules, globs, probes.")
@_many("--ignore", metavar="RULES", listed=True, help="Leave these rules out.")
@click.option(
    "--fail-on",
    type=Choice(FAIL_ON),
    help="Lowest level that fails the run; policy weighs as much as must.  [default: must]",
)
@_many("--ws-path", metavar="PATH", help="A path that serves WebSocket, besides those found.")
@_many("--http-path", metavar="PATH", help="A path that must not switch, besides those found.")
@click.option("--http-only", is_flag=True, help="No WebSocket is meant: a path that switches fails the run.")
@click.option("--server", metavar="NAME", help="Server for an import string.  [default: uvicorn]")
@_many("--server-option", metavar="KEY=VALUE", help="An option of that server.")
@click.option("--factory", is_flag=True, help="The attribute is called to make the app.")
@_many("-H", "--header", metavar="NAME:VALUE", help="Send a field with every probe; its value is in no report.")
@click.option("--origin", metavar="ORIGIN", help="Origin sent with every handshake.")
@_many("--subprotocol", metavar="NAME", help="Subprotocol offered with every handshake; a long one is in no report.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long to wait for an answer.  [default: 2.0]")
@click.option("--wait", type=float, metavar="SECONDS", help="How long a URL may take until it answers at all.")
@click.option("--jobs", type=int, metavar="N", help="Connections open at a time.  [default: 16]")
@_many("--allow-host", metavar="HOST", help="Allow probing of a host that is not loopback.")
@_many(
    "--report",
    metavar="FORMAT[=PATH]",
    help="text, concise, json, junit, sarif, github, gitlab, markdown or html, to a file or the standard output.",
)
@click.option("--source", metavar="PATH[:LINE]", help="File that findings are pinned to.")
@click.option("--config", metavar="PATH", help="The pyproject.toml to read.  [default: the nearest with our table]")
@click.option("--isolated", is_flag=True, help="Read no pyproject.toml.")
@click.option("--no-ignores", is_flag=True, help="Report what [tool.asgi-upgrade.ignore] hides.")
@click.option(
    "--write-ignores",
    is_flag=True,
    help="Write what fails now into the table of ignores, or print the table where there is none; no report, exit 0.",
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The last day of what --write-ignores writes.  [default: in 90 days]",
)
@click.option("--prune-ignores", is_flag=True, help="Remove ignores from the table that are unused or expired.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if checks failed.")
@click.option("--list", "list_", is_flag=True, help="List the probes selected, and run none.")
@click.option(
    "-v", "--verbose", is_flag=True, help="List passes too, show everything sent and received, and how to repeat it."
)
@click.option("-q", "--quiet", is_flag=True, help="One line for each problem, and nothing if there is none.")
@click.option("--color", type=Choice(("auto", "always", "never")), default="auto", help="Colour text.  [default: auto]")
def check(**given: Any) -> int:
    """Check how TARGETs answer handshakes and Upgrade requests.

    A TARGET is a URL (http, https, ws, wss) or an import string, module:attr, which is served on a loopback port.
    Without one, the app in [tool.asgi-upgrade.check] is checked.

    Exit codes: 0 every check passed or failed below --fail-on, 1 a check failed, 2 wrong usage, 3 a target could not
    be checked, 130 interrupted, 143 terminated.
    """
    from asgi_upgrade.cli.check import run_check  # noqa: PLC0415 - loads the probes

    return run_check(given)


@cli.command(short_help="List the rules.")
@click.option(
    "--format", "format_", type=Choice(("text", "json", "markdown")), default="text", help="How to list them."
)
@_many("--select", metavar="RULES", listed=True, help="List these only, in a comma list: rules, or globs of them.")
def rules(format_: str, select: tuple[str, ...]) -> None:
    """List every rule with its level and reference."""
    from asgi_upgrade.cli.rules import listing  # noqa: PLC0415 - only this command needs it

    say(listing(format_, select))


@cli.command(short_help="Explain a rule.")
@click.argument("rule")
def explain(rule: str) -> None:
    """Explain RULE: what it asks, why, how it is probed, and where it can be met."""
    from asgi_upgrade.check.reports.layout import UNWATCHED  # noqa: PLC0415 - only this command needs it
    from asgi_upgrade.cli.rules import explanation  # noqa: PLC0415 - loads the probes

    say(explanation(rule, shutil.get_terminal_size().columns if sys.stdout.isatty() else UNWATCHED))


@cli.command(short_help="Say what an installation can enforce.")
@click.argument("app", required=False, metavar="[MODULE:ATTR]")
@click.option("--factory", is_flag=True, help="The attribute is called to make the app.")
@click.option("--strict", is_flag=True, help="Exit with 1 where no middleware stands, or a MUST needs the adapter.")
def doctor(app: str | None, factory: bool, strict: bool) -> int:
    """Say which rules what is installed here can enforce with the middleware alone, and which need the adapter.

    With MODULE:ATTR, say first which policies are in force in that app. The server is that of
    [tool.asgi-upgrade.check].
    """
    from asgi_upgrade.check.doctor import deployed, diagnose  # noqa: PLC0415 - only this command needs it
    from asgi_upgrade.check.targets.target import is_import  # noqa: PLC0415 - as above

    if app is not None and not is_import(app):
        raise click.UsageError(f"target={quote(app)}: write module:attribute, such as shop.main:app")
    if strict and app is None:
        raise click.UsageError("--strict judges an app; name it: MODULE:ATTR")
    try:
        server, options = deployed(Path.cwd())
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    diagnosis = diagnose(app, factory=factory, server=server, options=options, strict=strict)
    say(diagnosis.text)
    return diagnosis.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: The arguments; those of the process by default.

    Returns:
        The exit code; nothing but a signal ends the process from within.
    """
    try:
        result = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except SystemExit:  # click's own, when whoever read the output has gone
        return USAGE
    except Exception:
        import traceback  # noqa: PLC0415 - seldom needed

        click.echo(f"{traceback.format_exc()}\nThis is an error of {PROGRAM} itself; please report it.", err=True)
        return USAGE
    return result if isinstance(result, int) else 0
