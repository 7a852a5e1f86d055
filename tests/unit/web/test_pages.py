"""The page's files and the description of the API."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from bot.web.access import WebOptions
from bot.web.pages import FOLDER, TYPES, StaticFiles
from tests.unit.web.conftest import TOKEN, FakeDaemon, client_of

FILES = sorted(file.name for file in FOLDER.iterdir())
SVG_NAMESPACE = "http://www.w3.org/2000/svg"  # a name; nothing is fetched


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/static/{name}" for name in FILES)])
async def test_every_file_allows_only_our_own(client: httpx.AsyncClient, path: str) -> None:
    """A strict policy: nothing from elsewhere, nothing inline, no frame around us."""
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host(name: str) -> None:
    """No address in it but the name of the SVG language."""
    text = (FOLDER / name).read_text(encoding="utf-8").replace(SVG_NAMESPACE, "")
    assert "://" not in text
    assert not re.search(r"""["'(]//""", text)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_no_script_writes_markup(name: str) -> None:
    """What comes from outside enters as text: markup is never made from strings."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ):
        assert way not in text


@pytest.mark.parametrize("name", FILES)
def test_files_stay_readable(name: str) -> None:
    """The house rule of 400 lines holds for scripts and styles too."""
    assert len((FOLDER / name).read_text(encoding="utf-8").splitlines()) <= 400
    assert (FOLDER / name).suffix in TYPES


async def test_the_page_links_only_files_that_are_there(client: httpx.AsyncClient) -> None:
    """Every stylesheet, script, icon and import is one of ours."""
    page = (await client.get("/")).text
    linked = set(re.findall(r'(?:src|href)="(/[^"#]*)"', page))
    linked |= {
        f"/static/{name}"
        for file in FILES
        for name in re.findall(r'from "\./([^"]+)"', (FOLDER / file).read_text(encoding="utf-8"))
    }
    assert "/static/main.js" in linked
    for path in linked:
        assert (await client.get(path)).status_code == 200, path


async def test_files_are_asked_for_again_and_not_sent_twice(client: httpx.AsyncClient) -> None:
    """A new version shows at once; the same one costs a header."""
    first = await client.get("/static/base.css")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/static/base.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2fpages.py", "%2e%2e/pages.py", "%2fetc%2fpasswd"]
)
async def test_only_the_pages_files_are_served(client: httpx.AsyncClient, name: str) -> None:
    """A name that is none of them is 404: no path is ever made from it."""
    answer = await client.get(f"/static/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_the_description_lists_every_route(daemon: FakeDaemon) -> None:
    """A plain page made of the OpenAPI document, without a script."""
    async with client_of(daemon, WebOptions(TOKEN)) as client:
        page = (await client.get("/docs")).text
    assert "<script" not in page
    for path in ("/traces/{trace_id}", "/events", "/candles", "/control/halt"):
        assert path in page


def test_files_are_read_once(tmp_path: Path) -> None:
    """Answering never waits for a disk."""
    (tmp_path / "page.css").write_text("body{}")
    (tmp_path / "secret.key").write_text("no")
    files = StaticFiles(tmp_path)
    (tmp_path / "page.css").unlink()
    assert files.names() == ("page.css",)
