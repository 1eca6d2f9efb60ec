"""Where reports go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from asgi_upgrade.check.reports.layout import UNWATCHED
from asgi_upgrade.check.reports.outlet import RENDERERS, SUMMARY_LIMIT, Outlet, parse_outlets, write_reports
from asgi_upgrade.errors import ConfigurationError
from tests.support.samples import FULL, HTTP10, VIEW, report, result, target


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([], [Outlet(format="text")], id="text-by-default"),
        pytest.param(["json"], [Outlet(format="json")], id="one-document"),
        pytest.param(["json=-"], [Outlet(format="json")], id="dash"),
        pytest.param(
            ["sarif=a=b.sarif"], [Outlet(format="text"), Outlet(format="sarif", path=Path("a=b.sarif"))], id="file"
        ),
        pytest.param(["text", "github"], [Outlet(format="text"), Outlet(format="github")], id="lines-share"),
    ],
)
def test_reports_are_named(texts: list[str], expected: list[Outlet]) -> None:
    assert parse_outlets(texts) == tuple(expected)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(["sarf"], "did you mean 'sarif'?", id="misspelt"),
        pytest.param(["json="], "name a file: json=PATH", id="no-file"),
        pytest.param(["json=a", "html=a"], "two reports cannot go to one file", id="one-file"),
        pytest.param(["json", "text"], "write one of them to a file", id="mixed"),
        pytest.param(["html", "sarif"], "write one of them to a file", id="two-documents"),
    ],
)
def test_what_cannot_be_meant_is_told(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_outlets(texts)
    assert message in str(raised.value)


def test_every_report_is_written(tmp_path: Path) -> None:
    echoed: list[str] = []
    outlets = [Outlet(format="text"), *(Outlet(format=name, path=tmp_path / "new" / name) for name in RENDERERS)]
    colored = replace(VIEW, color=True, width=80)
    write_reports(FULL, outlets, colored, echo=echoed.append, environ={})
    assert echoed == [RENDERERS["text"](FULL, colored)]
    for name in RENDERERS:
        written = (tmp_path / "new" / name).read_bytes().decode()
        assert written == RENDERERS[name](FULL, replace(VIEW, width=UNWATCHED)), "in a file there are no colours"


def test_annotations_append_a_step_summary(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    write_reports(
        FULL, [Outlet(format="github")], VIEW, echo=lambda _: None, environ={"GITHUB_STEP_SUMMARY": str(summary)}
    )
    assert summary.read_text() == "before\n" + RENDERERS["markdown"](FULL, VIEW)


@pytest.mark.parametrize(
    ("format_", "environ"),
    [pytest.param("text", True, id="no-annotations"), pytest.param("github", False, id="no-file-named")],
)
def test_without_either_there_is_no_summary(tmp_path: Path, format_: str, environ: bool) -> None:
    summary = tmp_path / "summary.md"
    given = {"GITHUB_STEP_SUMMARY": str(summary) if environ else ""}
    write_reports(FULL, [Outlet(format=format_)], VIEW, echo=lambda _: None, environ=given)
    assert not summary.exists()


def test_a_summary_is_no_longer_than_github_takes(tmp_path: Path) -> None:
    long = report(target(*(result("ws-wait", path=f"/{number}", message="x" * 999) for number in range(2000))))
    varied = replace(
        long,
        targets=(replace(long.targets[0], results=tuple(replace(r, variant=r.path) for r in long.targets[0].results)),),
    )
    summary = tmp_path / "summary.md"
    write_reports(
        varied, [Outlet(format="github")], VIEW, echo=lambda _: None, environ={"GITHUB_STEP_SUMMARY": str(summary)}
    )
    data = summary.read_bytes()
    assert len(data) <= SUMMARY_LIMIT
    assert data.endswith(b"\n")


def test_a_report_that_cannot_be_written_keeps_no_other_from_being_written(tmp_path: Path) -> None:
    outlets = [Outlet(format="json", path=tmp_path), Outlet(format="html", path=tmp_path / "a.html")]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_reports(report(target(HTTP10)), outlets, VIEW, echo=lambda _: None, environ={})
    assert (tmp_path / "a.html").exists()
    with pytest.raises(ConfigurationError, match="GITHUB_STEP_SUMMARY"):
        write_reports(
            FULL, [Outlet(format="github")], VIEW, echo=lambda _: None, environ={"GITHUB_STEP_SUMMARY": str(tmp_path)}
        )


def test_the_exit_code_does_not_depend_on_the_format(tmp_path: Path) -> None:
    """Elsewhere it does."""
    for name in RENDERERS:
        RENDERERS[name](FULL, VIEW)
        assert FULL.exit_code == 3
    written = tmp_path / "a.json"
    write_reports(FULL, [Outlet(format="json", path=written)], VIEW, echo=lambda _: None, environ={})
    assert json.loads(written.read_text())["exit_code"] == FULL.exit_code
