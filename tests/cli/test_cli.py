"""The command line as a user meets it: what each mistake is told, what each run exits with, and how a terminal is used.

What goes wrong elsewhere, and the test that it does not here:

- a probe passes although nothing answered (no control): ``test_without_a_control_no_negative_probe_passes``
- nothing selected exits with 0: ``test_nothing_selected_is_an_error``
- an unreachable target leaves no report: ``test_an_unreachable_target_is_reported_in_every_format``
- failures are filed as errors: ``test_report_junit.test_failures_are_failures_and_errors_are_errors``
- JUnit text is not escaped, cases have no name: ``test_report_junit.test_every_text_is_escaped``, and its schema
- JUnit without the passed cases shows no trend: ``test_report_junit.test_passed_cases_are_there``
- failures exit with 0: ``test_a_failed_check_exits_with_1``
- an unknown name is a traceback that exits as failures do: ``test_mistakes_are_told_with_the_option_and_the_nearest``
- cases of a series never run, nothing tests the tester: a broken server for each rule, in ``tests/check``
- header strings are compared where lists of tokens are meant: ``tests/check``
- colours are lost to a misplaced branch: ``test_report_text.test_colours_mark_what_is_bad_and_what_is_good...``
- it waits for ever when the peer closes: ``test_a_peer_that_closes_or_keeps_silent_ends_the_run``
- the exit code depends on the format: ``test_the_exit_code_does_not_depend_on_the_format``
- facts on a rule stand in several places and contradict: all lists are made from one record (``test_readme``)
- properties of annotations are not escaped: ``test_report_github.test_properties_are_escaped``
- one result without a place loses the upload: ``test_report_sarif.test_every_result_has_a_whole_region...``
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import json
import os
import pty
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from asgi_upgrade import __version__
from asgi_upgrade.__main__ import HINT
from asgi_upgrade.__main__ import main as script
from asgi_upgrade.check.reports.outlet import RENDERERS
from asgi_upgrade.cli import cli, main
from tests.support.broken.scripted import unused_port
from tests.support.broken.server import little_server
from tests.support.processes import untraced
from tests.support.samples import FULL
from tests.support.shop import shop

PROJECT = Path(__file__).parent.parent.parent
WAIT = 60.0

PATIENT = ("--timeout", "10")
"""For answers that do come, on a machine that does much else."""

CHAT = ("examples.chat:app", "--subprotocol", "chat", "--isolated", *PATIENT)
ADAPTER = ("--server-option", "http=asgi_upgrade.uvicorn:AutoProtocol")
FAILS = (*CHAT, "--select", "upgrade-http10-ignore,ws-version-single")
"""What the stock server fails."""

SEVERAL_FAIL = "upgrade-http10-ignore,ws-version-single,http-major-unknown"


class Ran:
    """What a command came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command line in this process, in the project's folder, outside of any CI."""
    monkeypatch.chdir(PROJECT)
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return command


Run = Callable[..., Ran]


@contextlib.contextmanager
def answering(answer: bytes | None, accepted: threading.Event | None = None) -> Iterator[str]:
    """Serve every connection one answer and close it; None keeps silent. Yields the URL."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                if accepted is not None:
                    accepted.set()
                if answer is None:
                    held.append(peer)
                    continue
                with peer, contextlib.suppress(OSError):
                    peer.recv(65536)
                    peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(WAIT)
            for peer in held:
                peer.close()


def start(*arguments: str, cwd: Path = PROJECT, **options: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    environ = {key: value for key, value in os.environ.items() if key not in ("CI", "GITHUB_ACTIONS", "NO_COLOR")}
    command = [sys.executable, "-m", "asgi_upgrade", *arguments]
    return subprocess.Popen(command, cwd=cwd, text=True, env={**environ, **options.pop("env", {})}, **options)


@contextlib.contextmanager
def hearing() -> Iterator[tuple[int, Callable[[], socket.socket]]]:
    """Yield a port, and what waits for somebody there; the connection ends with the process at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(WAIT)

        def hear() -> socket.socket:
            peer, _ = listener.accept()
            peer.settimeout(WAIT)
            return stack.enter_context(peer)

        yield listener.getsockname()[1], hear


# Exit codes


def test_a_clean_check_exits_with_0_and_one_line(run: Run) -> None:
    ran = run("check", *CHAT, *ADAPTER, "--select", "upgrade-http10-ignore,ws-version-single")
    assert ran.code == 0
    assert ran.out.startswith("uvicorn ")
    assert ": 2 checks, 2 passed, 0 failed in " in ran.out
    assert ran.out.count("\n") == 1


def test_a_failed_check_exits_with_1(run: Run) -> None:
    ran = run("check", *FAILS)
    assert ran.code == 1
    assert ran.out.startswith("error[upgrade-http10-ignore]: ")
    assert ran.out.splitlines()[1].startswith("  at        examples/chat.py:")
    assert run("check", *FAILS, "--exit-zero").code == 0


@pytest.mark.parametrize(("level", "code"), [("must", 0), ("policy", 0), ("should", 1), ("never", 0)])
def test_the_level_decides_whether_the_run_fails(run: Run, level: str, code: int) -> None:
    ran = run("check", *CHAT, "--select", "http-major-unknown", "--fail-on", level)
    assert ran.code == code
    assert "warning[http-major-unknown]" in ran.out


def test_nothing_selected_is_an_error(run: Run) -> None:
    ran = run("check", *CHAT, "--select", "ws-key-present", "--ignore", "ws-*")
    assert ran.code == 2
    assert '--select="ws-key-present": nothing is left to check' in ran.err


def test_an_unreachable_target_is_reported_in_every_format(run: Run, tmp_path: Path) -> None:
    files = [f"--report={name}={tmp_path / name}" for name in RENDERERS]
    with unused_port() as port:
        url = f"http://127.0.0.1:{port}/"
        ran = run("check", url, *FAILS, *files)
    assert ran.code == 3
    assert f"{url}: could not be checked: " in ran.out
    assert "error[upgrade-http10-ignore]" in ran.out, "the other target's results are kept"
    for name in RENDERERS:
        assert url.removesuffix("/").rpartition(":")[2] in (tmp_path / name).read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("import nothing_of_the_sort", "ModuleNotFoundError", id="import"),
        pytest.param("raise SystemExit(0)", "SystemExit", id="exit-on-import"),
        pytest.param("app = 1", "not an ASGI application", id="no-app"),
        pytest.param("", "has no attribute app", id="no-attribute"),
        pytest.param(
            "async def app(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n",
            "no database",
            id="does-not-start",
        ),
    ],
)
def test_an_app_that_cannot_be_served_exits_with_3(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    module = f"broken_{abs(hash(text))}"
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    ran = run("check", f"{module}:app", "--isolated")
    assert ran.code == 3
    assert message in ran.out


def test_a_peer_that_closes_or_keeps_silent_ends_the_run(run: Run) -> None:
    with answering(b"") as closing, answering(None) as silent, answering(b"\x00garbage\r\n\r\n") as garbage:
        ran = run("check", closing, silent, garbage, "--timeout", "0.2", "--isolated")
    assert ran.code == 3
    assert ran.out.count("could not be checked") == 3


def test_without_a_control_no_negative_probe_passes(run: Run) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as url:
        ran = run(
            "check",
            url,
            "--ws-path",
            "/ws",
            "--select",
            "ws-key-*,ws-version-*",
            "--report",
            "json",
            "--isolated",
            *PATIENT,
        )
    assert ran.code == 3
    assert {each["verdict"] for each in json.loads(ran.out)["results"]} == {"not-exercised"}


def test_interrupted_reports_what_is_known_and_exits_with_130() -> None:
    accepted = threading.Event()
    with answering(None, accepted) as url:
        process = start("check", url, "--timeout", "60", "--isolated", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert accepted.wait(WAIT)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130, err
    assert out.endswith("interrupted: this is what was known by then\n")
    assert "Traceback" not in err


TELL = """
import socket, threading
told = []
def tell():
    told.append(socket.create_connection(("127.0.0.1", {port})))
"""
SLOW = (
    TELL
    + """
tell()
threading.Event().wait({wait})
"""
)
SERVED = (
    TELL
    + """
async def app(scope, receive, send):
    if scope["type"] == "http":
        tell()
        await receive()
        await receive()
"""
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_import_is_interrupted_at_once(tmp_path: Path, number: int, code: int) -> None:
    with hearing() as (port, hear):
        (tmp_path / "slow_import.py").write_text(SLOW.format(port=port, wait=WAIT))
        with start("check", "slow_import:app", "--isolated", cwd=tmp_path, stderr=subprocess.PIPE) as process:
            hear()
            process.send_signal(number)
            _, err = process.communicate(timeout=WAIT / 2)
    assert (process.returncode, err) == (code, "")


@pytest.mark.parametrize("ignoring", [False, True], ids=["", "interrupts-ignored"])
def test_terminated_stops_the_server_that_was_started(tmp_path: Path, ignoring: bool) -> None:
    command = ("check", "served_elsewhere:app", "--isolated", "--server", "hypercorn", "--timeout", str(WAIT))
    with hearing() as (port, hear):
        (tmp_path / "served_elsewhere.py").write_text(SERVED.format(port=port))
        # What is ignored is inherited.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignoring else signal.default_int_handler)
        process = start(*command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        signal.signal(signal.SIGINT, before)
        with process:
            server = hear()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=WAIT)
        assert server.recv(1) == b""
    assert process.returncode == 143, err
    assert out.endswith("interrupted: this is what was known by then\n")
    assert "Traceback" not in err


def test_a_thread_may_run_the_command(run: Run) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, "check", *FAILS).result().code == 1


def test_interrupted_before_anything_is_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("asgi_upgrade.cli.check"), "run_check", interrupt)
    assert run("check", "a:b").code == 130


def test_an_error_of_our_own_exits_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(importlib.import_module("asgi_upgrade.cli.check"), "run_check", fail)
    ran = run("check", "a:b")
    assert ran.code == 2
    assert "ZeroDivisionError: ours" in ran.err
    assert "an error of asgi-upgrade itself" in ran.err


def test_2_beats_3_beats_1_beats_0(run: Run, tmp_path: Path) -> None:
    with unused_port() as port:
        url = f"http://127.0.0.1:{port}/"
        ran = run("check", url, *FAILS, f"--report=json={tmp_path}")
        assert ran.code == 2
        assert "cannot be written" in ran.err
        assert "could not be checked" in ran.out, "the other reports are written"
        assert run("check", url, *FAILS).code == 3
        assert run("check", url, *FAILS, "--exit-zero").code == 3


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_the_exit_code_does_not_depend_on_the_format(run: Run, name: str) -> None:
    assert run("check", *FAILS, "--report", name).code == 1


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("chek",), "Did you mean 'check'?", id="command"),
        pytest.param(("check", "--selct", "x"), "'--select'", id="option"),
        pytest.param(("check", "a:b", "--select", "ws-key-presnt"), "did you mean 'ws-key-present'?", id="rule"),
        pytest.param(("check", "a:b", "--ignore", "zz*"), '--ignore="zz*": no rule matches', id="glob"),
        pytest.param(("check", "a:b", "--select", ","), "Invalid value for '--select': it names no rule", id="no-rule"),
        pytest.param(("check", "a:b", "--fail-on", "mast"), "did you mean 'must'?", id="level"),
        pytest.param(("check", "a:b", "--color", "alway"), "did you mean 'always'?", id="color"),
        pytest.param(("check", "a:b", "--report", "sarf"), '--report="sarf"', id="format"),
        pytest.param(("check", "a:b", "--ws-path", "ws"), '--ws-path="ws": write "/ws"', id="path"),
        pytest.param(("check", "a:b", "--ws-path", "/a", "--http-path", "/a"), '--http-path="/a": it is', id="both"),
        pytest.param(("check", "a:b", "--jobs", "0"), '--jobs="0": write a whole number above 0', id="jobs"),
        pytest.param(("check", "a:b", "--timeout", "soon"), "Invalid value for '--timeout'", id="timeout"),
        pytest.param(("check", "a:b", "--server", "uvicon"), "did you mean 'uvicorn'?", id="server"),
        pytest.param(("check", "a:b", "--server-option", "http"), "write KEY=VALUE", id="server-option"),
        pytest.param(
            ("check", "examples.chat:app", "--server-option", "htp=h11"), "did you mean 'http'?", id="its-name"
        ),
        pytest.param(("check", "a:b", "-H", "Host: x"), '--header="Host": the probes write', id="owned-header"),
        pytest.param(("check", "a:b", "--subprotocol", "a b"), '--subprotocol="a b"', id="subprotocol"),
        pytest.param(("check", "127.0.0.1:80"), "did you mean 'http://127.0.0.1:80'?", id="target"),
        pytest.param(("check", "http://example.org/"), "add --allow-host example.org", id="not-loopback"),
        pytest.param(("check", "--isolated"), "name a TARGET", id="no-target"),
        pytest.param(("check", "-v", "-q", "a:b"), "--verbose and --quiet exclude each other", id="loud-and-quiet"),
        pytest.param(("check", "--isolated", "--config", "x", "a:b"), "--config and --isolated", id="config"),
        pytest.param(("check", "--config", "missing.toml", "a:b"), "cannot be read", id="no-config"),
        pytest.param(("doctor", "apps"), 'target="apps": write module:attribute', id="doctor"),
        pytest.param(("doctor", "http://127.0.0.1"), 'target="http://127.0.0.1": write module', id="doctor-url"),
        pytest.param(("explain", "ws-key-presnt"), "did you mean 'ws-key-present'?", id="explain"),
        pytest.param(("explain", "zzzz"), "asgi-upgrade rules lists them", id="explain-nothing-near"),
        pytest.param(("rules", "--format", "jsn"), "did you mean 'json'?", id="rules-format"),
    ],
)
def test_mistakes_are_told_with_the_option_and_the_nearest(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_a_header_without_colon_is_not_repeated_for_it_may_be_a_secret(run: Run) -> None:
    ran = run("check", "a:b", "-H", "s3cr3t")
    assert ran.code == 2
    assert "-H: write NAME:VALUE" in ran.err
    assert "s3cr3t" not in ran.err


# Settings


SETTINGS = """
[tool.asgi-upgrade.check]
app = "examples.chat:app"
subprotocols = ["chat"]
timeout = 10
select = ["upgrade-http10-ignore", "ws-version-single"]
server-options = { access_log = false }
"""


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "pyproject.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_projects_file_is_found_and_the_command_line_goes_before_it(
    run: Run, config: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = config(SETTINGS + 'fail-on = "never"\n')
    assert run("check", "--config", path).code == 0
    assert run("check", "--config", path, "--fail-on", "must").code == 1
    assert run("check", "--config", path, *ADAPTER, "--fail-on", "must").code == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(PROJECT)
    ran = run("check")
    assert ran.code == 0
    assert "2 checks, 1 passed, 1 failed (1 must)" in ran.out
    assert run("check", "--isolated").code == 2


def test_a_mistyped_key_exits_with_2(run: Run, config: Callable[[str], str]) -> None:
    ran = run("check", "a:b", "--config", config('[tool.asgi-upgrade.check]\nws-path = ["/"]\n'))
    assert ran.code == 2
    assert "pyproject.toml: tool.asgi-upgrade.check.ws-path" in ran.err
    assert "did you mean 'ws-paths'?" in ran.err


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ('app = "127.0.0.1:80"', (), 'tool.asgi-upgrade.check.app="127.0.0.1:80": write a URL or module:attr'),
        ('app = "a:b"', ("127.0.0.1:80",), 'Error: target="127.0.0.1:80": write a URL'),
        ('app = "examples.chat:app"\nserver-options = { htp = "h11" }', (), "check.server-options.htp="),
        (
            'app = "examples.chat:app"\nserver-options = { http = "h11" }',
            ("--server-option", "htp=1"),
            '--server-option="htp"',
        ),
    ],
)
def test_a_mistake_in_the_file_is_told_as_one(
    run: Run, config: Callable[[str], str], text: str, arguments: tuple[str, ...], message: str
) -> None:
    path = config(f"[tool.asgi-upgrade.check]\n{text}\n")
    ran = run("check", "--config", path, *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert (path in ran.err) is ("tool." in message or "check." in message)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_file_in_a_folder_above_says_what_is_beside_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    name = f"shop_above_{server}"
    (tmp_path / f"{name}.py").write_text(shop())
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.asgi-upgrade.check]\napp = "{name}:app"\nserver = "{server}"\nselect = ["ws-version-single"]\n'
        'timeout = 10\nreport = ["json=out.json"]\n'
    )
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert run("check").code == 0
    (target,) = json.loads((tmp_path / "out.json").read_text())["targets"]
    assert target["location"]["file"].endswith(f"{name}.py")
    assert str(tmp_path) not in sys.path
    assert list(inner.iterdir()) == []


def test_ignores_are_applied_reported_on_and_written(run: Run, config: Callable[[str], str]) -> None:
    ignored = '[tool.asgi-upgrade.ignore]\nupgrade-http10-ignore = { reason = "the proxy sees to it" }\n'
    path = config(SETTINGS + ignored)
    ran = run("check", "--config", path)
    assert ran.code == 0
    assert 'ignored[upgrade-http10-ignore /ws]: "the proxy sees to it"' in ran.out
    assert ", 0 failed, 1 ignored in " in ran.out
    assert run("check", "--config", path, "--no-ignores").code == 1
    written = run("check", "--config", path, "--write-ignores")
    assert (written.code, written.out) == (0, f"{path}: nothing is to be written\n")
    assert Path(path).read_text() == SETTINGS + ignored
    unused = config(SETTINGS + ignored + 'ws-version-single = { reason = "gone" }\n')
    ran = run("check", "--config", unused, "--fail-on", "should")
    assert ran.code == 1
    assert "warning[unused-ignore[ws-version-single]]: the ignore of ws-version-single matches no failure" in ran.out
    assert f"{unused}:10" in ran.out, "its own line"


LITTLE = """
[tool.asgi-upgrade.check]
ws-paths = ["/ws"]
timeout = 10
select = ["ws-key-present", "upgrade-http10-ignore"]
"""


@pytest.fixture
def faulty() -> Iterator[tuple[str, str]]:
    """Run two servers, each with one fault, of which the second is a hole."""
    with little_server("ws-key-present") as one, little_server("upgrade-http10-ignore") as other:
        yield f"http://{one}/", f"http://{other}/"


def test_the_table_for_adoption_is_one_paste_and_a_signature(
    run: Run, config: Callable[[str], str], faulty: tuple[str, str]
) -> None:
    written = run("check", *faulty, "--config", config(LITTLE), "--write-ignores", "--until", "2999-12-31")
    assert written.code == 0
    assert written.out.startswith("[tool.asgi-upgrade.ignore]\nws-key-present = { reason = ")
    assert "nothing is written; add this table to " in written.err
    assert written.out.count("until = 2999-12-31") == 2
    pasted = run("check", *faulty, "--config", config(LITTLE + written.out))
    assert pasted.code == 1
    assert pasted.out.count("error[") == 1
    assert "error[upgrade-http10-ignore]" in pasted.out, "a hole is not signed away by a program"
    signed = written.out.replace("# upgrade-http10", "upgrade-http10")
    assert run("check", *faulty, "--config", config(LITTLE + signed)).code == 0


def test_a_table_that_is_there_is_edited_in_place(
    run: Run, config: Callable[[str], str], faulty: tuple[str, str]
) -> None:
    path = config(LITTLE + "\n[tool.asgi-upgrade.ignore]\n# ours\n")
    written = run("check", *faulty, "--config", path, "--write-ignores")
    assert written.code == 0
    assert written.out.splitlines() == [
        f"{path}: wrote ws-key-present",
        f"{path}: a hole is nobody's to sign away but yours; if it is meant, "
        "take the # away from upgrade-http10-ignore",
    ]
    text = Path(path).read_text()
    assert text.startswith(LITTLE + "\n[tool.asgi-upgrade.ignore]\n# ours\nws-key-present = {reason = ")
    assert "\n# upgrade-http10-ignore = { reason = " in text
    assert run("check", *faulty, "--config", path).out.count("error[") == 1


def test_what_hides_nothing_any_more_is_taken_out(
    run: Run, config: Callable[[str], str], faulty: tuple[str, str]
) -> None:
    kept = 'ws-key-present = { reason = "r" }\nupgrade-http10-ignore = { reason = "signed" }\n'
    stale = 'ws-body = { reason = "r", until = 2020-01-01 }\nws-origin-single = { reason = "r", until = 2020-01-01 }\n'
    path = config(f"{LITTLE}\n[tool.asgi-upgrade.ignore]\n{kept}{stale}")
    pruned = run("check", *faulty, "--config", path, "--prune-ignores", "--fail-on", "should")
    assert pruned.code == 0
    assert pruned.err == f"{path}: removed ws-body, ws-origin-single\n"
    assert Path(path).read_text() == f"{LITTLE}\n[tool.asgi-upgrade.ignore]\n{kept}"
    again = run("check", *faulty, "--config", path, "--prune-ignores")
    assert (again.code, again.err) == (0, "no ignore is to be removed\n")


def test_a_table_that_cannot_be_edited_is_left_to_its_owner(
    run: Run, config: Callable[[str], str], faulty: tuple[str, str]
) -> None:
    one_line = '\n[tool.asgi-upgrade]\nignore = { ws-body = { reason = "r", until = 2020-01-01 } }\n'
    path = config(one_line + LITTLE)
    ran = run("check", *faulty, "--config", path, "--prune-ignores")
    assert ran.code == 2
    assert "its table tool.asgi-upgrade.ignore cannot be edited; remove ws-body yourself" in ran.err
    assert run("check", *faulty, "--config", path, "--write-ignores").out.startswith("[tool.asgi-upgrade.ignore]\n")
    assert Path(path).read_text() == one_line + LITTLE


def test_a_file_that_cannot_be_written_is_told(
    run: Run, config: Callable[[str], str], faulty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(LITTLE + "\n[tool.asgi-upgrade.ignore]\n")

    def refuse(_: Path, __: bytes) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    ran = run("check", *faulty, "--config", path, "--write-ignores")
    assert ran.code == 2
    assert "cannot be written (Read-only file system)" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--until", "2999-01-01"), "--until says how long what --write-ignores writes holds; add that"),
        (("--write-ignores", "--until", "2020-01-01"), "--until=2020-01-01: name a day that is not over"),
        (("--write-ignores", "--until", "soon"), "'soon' does not match the format"),
        (("--prune-ignores", "--isolated"), "--isolated and --prune-ignores exclude each other"),
        (("--prune-ignores", "--no-ignores"), "--no-ignores and --prune-ignores exclude each other"),
        (("--wait", "0"), '--wait="0.0": write a number above 0'),
    ],
)
def test_mistakes_with_ignores_and_waiting_are_told(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ran = run("check", "http://127.0.0.1:9/", *arguments)
    assert ran.code == 2
    assert message in ran.err


def test_the_table_says_what_could_not_be_checked_beside_it(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    ran = run("check", url, "--isolated", "--write-ignores")
    assert ran.code == 3
    assert ran.out == "[tool.asgi-upgrade.ignore]\n"
    assert f"{url}: could not be checked: cannot connect to" in ran.err


# Reports


def test_several_reports_are_made_of_one_run(run: Run, tmp_path: Path) -> None:
    ran = run("check", *FAILS, "--report", f"sarif={tmp_path / 'a.sarif'}", "--report", f"junit={tmp_path / 'a.xml'}")
    assert "error[upgrade-http10-ignore]" in ran.out
    (result,) = json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "examples/chat.py"
    line = (PROJECT / "examples/chat.py").read_text().splitlines()[location["region"]["startLine"] - 1]
    assert line.startswith("app = ")
    assert len(etree.parse(str(tmp_path / "a.xml")).findall("testsuite/testcase/failure")) == 1


def test_annotations_go_to_the_log_and_the_table_to_the_summary(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    ran = run("check", *FAILS, "--report", "github", "--source", "deploy/asgi.py:7")
    assert ran.out.startswith("::error file=deploy/asgi.py,line=7,")
    assert (tmp_path / "summary.md").read_text().startswith("## asgi-upgrade check\n")


def test_a_url_is_pinned_to_the_projects_file(run: Run, config: Callable[[str], str]) -> None:
    path = config('\n[tool.asgi-upgrade.check]\nselect = ["conn-pipeline"]\n')
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as url:
        ran = run("check", url, "--config", path, "--report", "json", "--timeout", "0.5")
    (target,) = json.loads(ran.out)["targets"]
    assert target["location"]["file"] == path
    assert target["location"]["line"] == 2


ECHO = """
print("noise on import")
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = repr(scope["headers"]).encode() + scope["query_string"]
    echoed = [(b"x-echo", dict(scope["headers"]).get(b"x-token", b""))]
    await send({"type": "http.response.start", "status": 200, "headers": echoed})
    await send({"type": "http.response.body", "body": body})
"""


def test_a_secret_is_in_no_report_and_noise_in_none(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echoing_secrets.py").write_text(ECHO)
    monkeypatch.chdir(tmp_path)
    files = [f"--report={name}={tmp_path / 'out' / name}" for name in RENDERERS]
    ran = run(
        "check",
        "echoing_secrets:app",
        "--isolated",
        "-H",
        "X-Token: s3cr3t-of-mine",
        "--ws-path",
        "/ws?token=s3cr3t-ticket&lang=en",
        "-v",
        "--http-path",
        "/?key=s3cr3t-key",
        "--select",
        "conn-*,upgrade-*,ws-101-*,h2c-*",
        "--timeout",
        "3",
        *files,
    )
    assert ran.code == 3
    assert "noise on import" in ran.err
    assert "noise" not in ran.out
    for text in [ran.out, ran.err, *((tmp_path / "out" / name).read_text() for name in RENDERERS)]:
        assert "s3cr3t" not in text
    assert "redacted" in (tmp_path / "out" / "json").read_text()


@pytest.mark.parametrize(
    ("target", "options"),
    [
        pytest.param("ws://{0}/ws?token=s3cr3t-1", (), id="url"),
        pytest.param(
            "http://{0}/", ("--http-path", "/ws?token=s3cr3t-1", "--ws-path", "/ws?token=s3cr3t-1"), id="both"
        ),
        pytest.param("http://{0}/ws?token=s3cr3t-1#there", (), id="fragment"),
        pytest.param("http://{0}/", ("--ws-path", "ws?token=s3cr3t-1"), id="no-slash"),
        pytest.param("http://{0}/", ("--ws-path", "/ws?token=s3cr3t-1 2"), id="space"),
        pytest.param("{0}/ws?token=s3cr3t-1", (), id="no-scheme"),
    ],
)
def test_a_query_is_in_no_message(run: Run, target: str, options: tuple[str, ...]) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as url:
        place = url.removeprefix("http://").rstrip("/")
        ran = run("check", target.format(place), "--isolated", "--timeout", "1", "--select", "ws-handshake", *options)
    assert ran.code in (2, 3)
    assert "s3cr3t" not in ran.out + ran.err


def test_two_spellings_of_an_ignored_path_with_a_query_name_it(
    run: Run, config: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PROJECT)
    for path in ("/ws?a=b", "/ws?[redacted]", "/ws*"):
        ignored = f'[tool.asgi-upgrade.ignore]\nupgrade-http10-ignore = {{ reason = "known", paths = ["{path}"] }}\n'
        file = config(SETTINGS + 'ws-paths = ["/ws?a=b"]\n' + ignored)
        ran = run("check", "--config", file, "--select", "upgrade-http10-ignore")
        assert (path, ran.code) == (path, 0)


def test_a_run_in_which_no_handshake_was_tried_says_how_to_try_one_or_that_none_is_meant(
    run: Run, config: Callable[[str], str]
) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as url:
        some = ("--timeout", "1", "--select", "ws-101-status,policy-unexpected-switch")
        bare = run("check", url, "--isolated", *some)
        assert (bare.code, "--ws-path, or say --http-only" in bare.out) == (3, True)
        assert run("check", url, "--isolated", *some, "--http-only").code == 0
        file = config("[tool.asgi-upgrade.check]\nws-paths = []\n")
        assert run("check", url, "--config", file, *some).code == 0
        named = run("check", url, "--config", file, *some, "--ws-path", "/ws")
        assert (named.code, "/ws: a valid handshake" in named.out + named.err) == (3, False)
        both = run("check", url, "--isolated", *some, "--ws-path", "/ws?a=b", "--http-only")
        assert (both.code, "a=b" in both.err) == (2, False)


OUTSIDE = ("../out.json", "{folder}/out.json", "link/out.json")


@pytest.mark.parametrize("place", OUTSIDE)
def test_a_file_that_is_found_writes_no_report_of_a_url_outside_its_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "cloned").mkdir()
    (tmp_path / "cloned" / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "cloned")
    written = place.format(folder=tmp_path)
    Path("pyproject.toml").write_text(f'[tool.asgi-upgrade.check]\nreport = ["json={written}"]\n')
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as url:
        ran = run("check", url, "--timeout", "1")
        assert ran.code == 2
        assert not (tmp_path / "out.json").exists()
        assert "--config" in ran.err
        run("check", url, "--timeout", "1", "--config", "pyproject.toml")
        assert (tmp_path / "out.json").exists()


def test_a_file_that_is_found_writes_reports_of_a_url_into_its_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[tool.asgi-upgrade.check]\nreport = ["json=reports/out.json"]\n')
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as url:
        run("check", url, "--timeout", "1")
    assert (tmp_path / "reports" / "out.json").exists()


def test_verbose_quiet_and_list(run: Run) -> None:
    assert "pass[ws-version-single /ws]" in run("check", *CHAT, "--select", "ws-version-single", "-v").out
    quiet = run("check", *FAILS, "-q").out
    assert quiet.count("\n") == 1
    assert quiet.startswith("error[upgrade-http10-ignore]")
    listed = run("check", "--list", "--isolated", "--select", "ws-version-single,ws-key-16-*")
    assert listed.code == 0
    assert listed.out.startswith("ws-version-single  ")
    assert "\nws-key-16-bytes[15]  " in listed.out


def test_a_probe_is_selected_by_the_name_that_a_report_gives_it(run: Run) -> None:
    ran = run("check", "--list", "--isolated", "--select", "ws-version-single,ws-key-16-bytes[15]")
    listed = {line.partition("  ")[0] for line in ran.out.splitlines()}
    assert listed == {"ws-key-16-bytes[15]", "ws-version-single"}


def test_colours_are_for_terminals_or_on_demand(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("check", *FAILS).out
    assert "\x1b[1;31merror[upgrade-http10-ignore]\x1b[0m" in run("check", *FAILS, "--color", "always").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    out = run("check", *FAILS).out
    assert "\x1b[1;31m" in out
    assert max(len(line) for line in out.splitlines() if line.startswith("            ")) <= 60
    assert "\x1b" not in run("check", *FAILS, "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("check", *FAILS).out


# Terminals


def on_a_terminal(env: dict[str, str], *arguments: str) -> str:
    """Run with a terminal as standard error; return what it was shown."""
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(ours, 4096):
                shown.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        process = start(*arguments, stdout=subprocess.DEVNULL, stderr=theirs, env={"TERM": "xterm", **env})
        assert process.wait(WAIT) == 1
    finally:
        os.close(theirs)
        reader.join(WAIT)
        os.close(ours)
    return shown.decode()


def test_progress_is_shown_on_a_terminal_and_not_in_ci() -> None:
    assert "checking" in on_a_terminal({}, "check", *FAILS)
    assert on_a_terminal({"CI": "true"}, "check", *FAILS) == ""
    assert on_a_terminal({}, "check", *FAILS, "-q") == ""


def test_nothing_but_the_report_is_written_when_piped() -> None:
    process = start("check", *FAILS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert err == ""
    assert "\x1b" not in out


def test_progress_is_no_part_of_the_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = run("check", *FAILS)
    assert ran.code == 1
    assert ran.out.startswith("error[")


@pytest.mark.parametrize("arguments", [("rules",), ("rules", "--format", "json")])
def test_a_reader_that_goes_away_is_no_traceback(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, err = process.communicate(timeout=WAIT)
    assert "Traceback" not in err
    assert process.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("arguments", [("rules",), ("explain", "ws-body"), ("check", "http://127.0.0.1:9/", "--list")])
def test_an_output_that_is_full_is_told_of(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        process = start(*arguments, stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=WAIT)
    assert (process.returncode, err) == (
        2,
        "Error: the standard output cannot be written to: No space left on device\n",
    )


def test_an_output_that_cannot_be_replaced_is_told_of(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("click.echo", full)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["rules"]) == 2


def test_a_reader_that_goes_away_is_not_taken_for_a_failed_check(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str, __: tuple[str, ...]) -> str:
        raise BrokenPipeError(errno.EPIPE, "gone")

    # The module, not the command of the same name that stands in its package until the module is imported.
    monkeypatch.setattr(importlib.import_module("asgi_upgrade.cli.rules"), "listing", gone)
    before = sys.stdout, sys.stderr
    assert run("rules").code == 2
    monkeypatch.setattr(sys, "stdout", before[0])
    monkeypatch.setattr(sys, "stderr", before[1])


# The other commands


def test_rules_are_listed_in_three_forms(run: Run) -> None:
    text = run("rules").out
    assert "upgrade-http10-ignore " in text
    assert "unused-ignore " in text
    document = json.loads(run("rules", "--format", "json").out)
    assert document["schema"] == 1
    assert len(document["rules"]) == text.count("\n")
    assert {"id", "title", "level", "reference", "why", "fix", "fixed_by"} <= set(document["rules"][0])
    assert run("rules", "--select", "ws-origin-*,405-allow").out.count("\n") == 5
    assert len(json.loads(run("rules", "--format", "json", "--select", "405-allow").out)["rules"]) == 1
    mistyped = run("rules", "--select", "405-allow,ws-origin-chekc")
    assert mistyped.code == 2
    assert "no rule matches 'ws-origin-chekc'; did you mean 'ws-origin-check'?" in mistyped.err
    assert run("rules", "--format", "markdown").out.startswith("| rule | level | what | by | reference |\n|---|")


def test_a_rule_is_explained(run: Run) -> None:
    ran = run("explain", "upgrade-http10-ignore")
    assert ran.code == 0
    for part in (
        "upgrade-http10-ignore: Upgrade in an HTTP/1.0 request\n",
        "  level      must\n",
        "  reference  RFC 9110 section 7.8\n",
        "  client     Send HTTP/1.1.\n",
        "  by         adapter, server\n",
        "  strict     ignores the Upgrade and serves the request\n",
        "  probe      upgrade-http10-ignore: ",
    ):
        assert part in ran.out
    assert "rejects with 426" in run("explain", "ws-version-mismatch[8]").out
    assert "  lenient    rejects with 403 where an origin option is set\n" in run("explain", "ws-origin-check").out
    assert "  client " not in run("explain", "request-grammar").out
    assert "Remove it." in run("explain", "unused-ignore").out
    assert max(map(len, run("explain", "upgrade-http10-ignore").out.splitlines())) <= 100, "wrapped"


def test_doctor_says_what_is_enforced_by_whom(run: Run) -> None:
    ran = run("doctor", "examples.chat:app")
    assert ran.code == 0
    assert "examples.chat:app: UpgradeMiddleware stands outermost\n" in ran.out
    assert run("doctor", "nothing_there:app").code == 3
    assert run("doctor", "examples.chat:app", "--strict").code == 1, "rules of level must need the adapter"
    assert "--strict judges an app; name it: MODULE:ATTR" in run("doctor", "--strict").err


def test_doctor_reads_what_is_deployed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.asgi-upgrade.check]\nserver-options = { ws = "wsproto" }\n')
    assert ", wsproto), as [tool.asgi-upgrade.check] has it\n" in run("doctor").out
    file.write_text("[tool.asgi-upgrade.check]\nserver-optoins = {}\n")
    ran = run("doctor")
    assert ran.code == 2
    assert "server-options" in ran.err


def test_the_version_and_the_help_are_told(run: Run) -> None:
    assert run("--version").out == f"asgi-upgrade, version {__version__}\n"
    for arguments in ((), ("check",), ("rules",), ("explain",), ("doctor",)):
        ran = run(*arguments, "--help")
        assert ran.code == 0
        assert ran.out.startswith("Usage: asgi-upgrade")


def test_every_option_has_help() -> None:
    options = [each for command in cli.commands.values() for each in command.params if each.param_type_name == "option"]
    assert [each.name for each in options if not getattr(each, "help", None)] == []


@pytest.mark.parametrize("arguments", [["--help"], ["rules"], ["check", "--help"]])
def test_help_and_rules_load_no_server_no_terminal_library_and_no_probe(arguments: list[str]) -> None:
    code = f"""
import sys
from asgi_upgrade.__main__ import main
sys.argv = ["asgi-upgrade", *{arguments!r}]
assert main() == 0
slow = ("uvicorn", "rich", "asyncio", "ssl", "h11", "wsproto", "asgi_upgrade.check.run", "asgi_upgrade.middleware")
print([name for name in slow if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=untraced(),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=True,
        cwd=PROJECT,
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_what_to_install(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("asgi_upgrade.__main__.find_spec", lambda name: None if name == missing else find_spec(name))
    assert script() == 2
    assert capsys.readouterr() == ("", f"{HINT}\n")


def test_the_module_is_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["asgi-upgrade", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROJECT / "asgi_upgrade" / "__main__.py"), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"asgi-upgrade, version {__version__}\n"


def test_a_place_that_a_run_knows_is_kept_unless_another_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # The module, not the command of the same name that stands in its package until the module is imported.
    monkeypatch.setattr(importlib.import_module("asgi_upgrade.cli.check"), "check", lambda *_, **__: FULL)
    assert run("check", "a:b", "--report", "concise", "--isolated").out.startswith("shop/main.py:12:1: ")
    assert run("check", "a:b", "--report", "concise", "--source", "x.py:3").out.startswith("x.py:3:1: ")
