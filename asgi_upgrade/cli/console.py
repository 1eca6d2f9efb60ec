"""What the commands share: writing to the standard output."""

from __future__ import annotations

import contextlib
import os
import sys

import click


def say(text: str | bytes) -> None:
    """Write to the standard output.

    Args:
        text: What to write, its lines ended.

    Raises:
        click.ClickException: It cannot be written; the text says why.
    """
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise  # whoever read it has had enough, which click sees to
    except OSError as error:
        # What is left would be tried again, and told of, when the interpreter ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.ClickException(f"the standard output cannot be written to: {error.strerror or error}") from error
