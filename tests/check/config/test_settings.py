"""What a project's file says of a check; mistakes are told with the file, the key and the nearest spelling."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from asgi_upgrade.check.config.ignores import IgnoreEntry
from asgi_upgrade.check.config.settings import Settings, find_settings, load_settings
from asgi_upgrade.errors import ConfigurationError

DOCUMENTED = """
[tool.asgi-upgrade.check]
app = "shop.main:app"
server-options = { http = "asgi_upgrade.uvicorn:AutoProtocol" }
ws-paths = ["/ws"]
http-paths = ["/", "/health"]
fail-on = "must"
report = ["sarif=out.sarif"]
source = "shop/main.py:3"

[tool.asgi-upgrade.policy]
allow-origins = ["https://shop.example"]
h2c = "ignore"

[tool.asgi-upgrade.ignore]
ws-key-16-bytes     = { reason = "wsproto does not decode the key, issue 41", until = 2027-01-31 }
ws-version-mismatch = { reason = "legacy gateway needs 400", paths = ["/legacy"] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pyproject.toml"


def test_the_documented_tables_are_read(file: Path) -> None:
    file.write_text(DOCUMENTED)
    settings = load_settings(file)
    assert settings.app == "shop.main:app"
    assert settings.fail_on == "must"
    assert settings.report == ("sarif=out.sarif",)
    assert settings.source == "shop/main.py:3"
    assert settings.options == {
        "server_options": {"http": "asgi_upgrade.uvicorn:AutoProtocol"},
        "ws_paths": ("/ws",),
        "http_paths": ("/", "/health"),
    }
    assert settings.policy is not None
    assert settings.policy.h2c == "ignore"
    assert settings.ignores == (
        IgnoreEntry(
            probe="ws-key-16-bytes", reason="wsproto does not decode the key, issue 41", until=date(2027, 1, 31)
        ),
        IgnoreEntry(probe="ws-version-mismatch", reason="legacy gateway needs 400", paths=("/legacy",)),
    )


@pytest.mark.parametrize(
    ("paths", "options"),
    [("[]", {"ws_paths": (), "http_only": True}), ('["/ws"]', {"ws_paths": ("/ws",)})],
    ids=["none-is-meant", "one"],
)
def test_an_empty_list_of_websocket_paths_means_that_there_is_none(
    file: Path, paths: str, options: dict[str, object]
) -> None:
    file.write_text(f"[tool.asgi-upgrade.check]\nws-paths = {paths}\n")
    assert load_settings(file).options == options


@pytest.mark.parametrize("text", ["", "[tool.other]\n", "[tool.asgi-upgrade]\n"])
def test_what_is_left_out_has_its_default(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_settings(file) == Settings(path=file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('check.ws-path = ["/"]', "there is no such key; did you mean 'ws-paths'?", id="misspelt-key"),
        pytest.param('check.ws_paths = ["/"]', "did you mean 'ws-paths'?", id="snake-case"),
        pytest.param('check.zzz = "/"', "; the keys are app, fail-on", id="no-near-key"),
        pytest.param("chek.app = 1", "did you mean 'check'?", id="misspelt-table"),
        pytest.param('check.ws-paths = "/ws"', "write an array of strings", id="string-for-list"),
        pytest.param('check.ws-paths = ["ws"]', 'check.ws-paths="ws": write "/ws"', id="path"),
        pytest.param(
            'check.ws-paths = ["/a"]\ncheck.http-paths = ["/a"]', 'check.http-paths="/a": it is named', id="both"
        ),
        pytest.param("check.timeout = 0", "check.timeout=0: write a number above 0", id="number"),
        pytest.param('check.fail-on = "mus"', 'check.fail-on="mus": write "must" or', id="choice"),
        pytest.param('check.fail-on = "mus"', "did you mean 'must'?", id="nearest-choice"),
        pytest.param('check.select = ["ws-key-presnt"]', "did you mean 'ws-key-present'?", id="rule"),
        pytest.param('check.report = ["sarf"]', 'check.report="sarf": the formats are', id="report"),
        pytest.param('check.server = "uvicon"', "did you mean 'uvicorn'?", id="server"),
        pytest.param('check.headers = ["a: b"]', "there is no such key", id="secrets-do-not-belong-here"),
        pytest.param("check = 1", "write a table, [tool.asgi-upgrade.check]", id="no-table"),
        pytest.param('policy.h2c = "ignor"', "did you mean 'ignore'?", id="policy"),
        pytest.param(
            "ignore.ws-key-presnt = {}", "there is no such rule; did you mean 'ws-key-present'?", id="ignored"
        ),
        pytest.param(
            'ignore."ws-version-mismatch[77]" = { reason = "x" }',
            "there is no such probe; did you mean 'ws-version-mismatch",
            id="ignored-probe",
        ),
        pytest.param('ignore.ws-body = "x"', 'write { reason = "..." }', id="ignore-string"),
        pytest.param("ignore.ws-body = {}", "say why it is ignored", id="no-reason"),
        pytest.param('ignore.ws-body = { reason = " " }', "say why it is ignored", id="empty-reason"),
        pytest.param('ignore.ws-body = { reson = "x" }', "did you mean 'reason'?", id="misspelt-reason"),
        pytest.param('ignore.ws-body = { reason = "x", until = "2027" }', "write a date", id="date-as-text"),
        pytest.param(
            'ignore.ws-body = { reason = "x", until = 2027-01-31T10:00:00 }',
            "write a date, such as until = 2027-01-31",
            id="time",
        ),
        pytest.param("check.app", "is not valid TOML", id="not-toml"),
    ],
)
def test_mistakes_name_the_file_and_what_to_write(file: Path, text: str, message: str) -> None:
    file.write_text(f"[tool.asgi-upgrade]\n{text}\n")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file)
    assert message in str(raised.value)
    assert str(file) in str(raised.value)


def test_reports_stand_beside_the_file(file: Path) -> None:
    file.write_text('[tool.asgi-upgrade.check]\nreport = ["json=out/a.json", "text", "sarif=/b.sarif"]\n')
    assert [each.path for each in load_settings(file).outlets()] == [
        file.parent / "out/a.json",
        None,
        Path("/b.sarif"),
    ]
    assert [each.path for each in Settings(report=("text", "json=a.json")).outlets()] == [None, Path("a.json")]


def test_a_file_that_is_not_there_is_an_error(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(file)


def test_the_nearest_file_with_our_table_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.asgi-upgrade.check]\n")
    (inner / "pyproject.toml").write_text("[tool.other]\n")
    assert find_settings(inner) == tmp_path / "pyproject.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.asgi-upgrade.ignore]\n")
    assert find_settings(inner) == tmp_path / "a" / "pyproject.toml"


def test_a_file_that_is_not_toml_is_found_so_that_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    assert find_settings(tmp_path) == tmp_path / "pyproject.toml"


@pytest.mark.parametrize("text", ["", "tool = 1\n"])
def test_no_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    found = find_settings(tmp_path)
    assert found is None or not found.is_relative_to(tmp_path)
