"""What opens something is in no log, no answer and no file, whatever is asked and goes wrong."""

import base64
import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from applyrate.api.cursors import Question
from applyrate.api.redaction import redact
from applyrate.dashboard.sessions import make_link
from applyrate.dashboard.tokens import is_csrf_token
from applyrate.keys import digest, generate_key, issue_key
from applyrate.store.sqlite import SQLiteStore
from tests.asks import Ask, asks
from tests.dashboard import SESSION, Reader, reading
from tests.servers import Server, end_process, start_process
from tests.tokens import SECRET, forge

TALKATIVE = """
import logging, os, traceback
os.dup2(os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
def tell(logger, record):
    told = [record.getMessage(), repr(vars(record))]
    if record.exc_info:
        told += traceback.format_exception(*record.exc_info)
    os.write(2, "\\n".join(told).encode())
logging.Logger.isEnabledFor = lambda logger, level: True
logging.Logger.handle = tell
logging.getLogger("applyrate.test").debug("this log is kept")
"""
"""Every record of every logger goes to a file, with all that it holds."""


class Surface:
    """A service that logs all it can, what was asked of it, and what must be found nowhere."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.told: list[str] = []
        self.secrets: set[str] = set()

    def new_key(self) -> str:
        key = self.server.new_key("acme")
        self.keep(key)
        return key

    def keep(self, key: str) -> None:
        """Look for a key's secret part later, as it is and as a header of Basic would have it."""
        self.secrets |= {key[9:41], base64.b64encode(key.encode()).decode(), key.encode().hex()}

    def ask_all(self, headers: dict[str, str], query: str = "") -> None:
        """Ask everything with these headers; what is answered is looked at later."""
        with httpx.Client(base_url=self.server.url, headers=headers, timeout=60) as client:
            for ask in (*asks("key_none"), Ask("GET /metrics", "/metrics", None)):
                target = ask.target + (("&" if "?" in ask.target else "?") + query) * bool(query)
                with client.stream(ask.method, target, json=ask.body) as answer:
                    kind = answer.headers.get("content-type", "")
                    text = "" if kind.startswith("text/event-stream") else answer.read().decode()
                if ask.operation == "POST /keys" and answer.is_success:
                    self.keep(answer.json()["key"])  # shown this once
                else:
                    self.told.append(f"{answer.headers!r}\n{text}")


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    folder = tmp_path_factory.mktemp("secrets")
    process, url = start_process(
        folder / "data",
        prelude=TALKATIVE.format(log=str(folder / "log")),
        jwt_secret=SECRET,
        trace_quiet_seconds=0,
    )
    server = Server(process, url, folder / "data")
    try:
        surface = Surface(server)
        ask_in_every_way(surface)
        sign_in_in_every_way(surface)
        break_the_store(surface)
        surface.told.append(files_of(folder / "data"))  # with the write-ahead log
        yield surface
    finally:
        server.close()
        end_process(process)


def ask_in_every_way(surface: Surface) -> None:
    key, url = surface.new_key(), surface.server.url
    revoked, unknown = surface.new_key(), generate_key()
    (known,) = [k for k in surface.server.store.keys("acme") if k.hint == revoked[-4:]]
    surface.server.store.revoke_key("acme", known.key_id, datetime.now(UTC))
    surface.keep(unknown)
    good = forge({"alg": "HS256"}, SECRET.encode(), scope="*")
    forged = forge({"alg": "HS256"}, b"guess", scope="*")
    surface.secrets |= {SECRET, good.split(".")[2], forged.split(".")[2]}
    for credential in (key, revoked, unknown, key + "0", good, forged):
        surface.ask_all({"Authorization": f"Bearer {credential}"})
    surface.ask_all({"Authorization": key, "X-Api-Key": key, "Cookie": f"key={key}"})
    surface.ask_all({}, query=f"key={key}")
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
        for method, target in (
            ("DELETE", f"/keys/{key}"),
            ("GET", f"/nowhere/{key}"),
            ("PATCH", f"/keys/{key}"),
            ("GET", f"/resource-usage/{key}"),
            ("GET", f"/conversations/{key}/usage"),
            ("GET", f"/resource-usage/action?cursor={key}"),
            ("GET", f"/resource-usage/action?limit={key}"),
            ("GET", f"/resource-usage/action?from={key}"),
        ):
            answer = client.request(method, target)
            assert answer.status_code in (400, 404, 405)
            surface.told.append(f"{answer.headers!r}\n{answer.text}")


def sign_in_in_every_way(surface: Surface) -> None:
    server, key = surface.server, surface.new_key()
    with reading(server) as reader:
        for wrong in (generate_key(), key[:-1]):
            surface.keep(wrong)
            surface.told.append(reader.sign_in(wrong).text)
        surface.told.append(reader.sign_in(key).text)
        surface.secrets.add(reader.http.cookies[SESSION])
        for page in ("", "/keys", "/unused", "/resource?id=res", "/conversation?id=s_1", "/intake"):
            surface.told.append(reader.open(f"/dashboard{page}").text)
    link = new_link(server)
    surface.secrets.add(link)
    with reading(server) as reader:
        answer = reader.open(f"/dashboard/open/{link}")
        surface.secrets.add(reader.http.cookies[SESSION])
        surface.told += [answer.text, reader.open(f"/dashboard/open/{link}").text]


def new_link(server: Server) -> str:
    known = server.store.keys("acme")[0]
    return make_link(server.store, known, datetime.now(UTC))


def break_the_store(surface: Surface) -> None:
    """Let everything fail, which is when most is logged."""
    key, link = surface.new_key(), new_link(surface.server)
    surface.secrets.add(link)
    with closing(sqlite3.connect(surface.server.data / "applyrate.db")) as db:
        for table in ("conversation", "resource", "session"):
            db.execute(f"ALTER TABLE {table} RENAME TO gone_{table}")
    surface.ask_all({"Authorization": f"Bearer {key}"})
    reader = Reader(surface.server)
    with reader.http:
        answer = reader.open(f"/dashboard/open/{link}")
    assert answer.status_code == 500
    surface.told.append(answer.text)


def files_of(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"applyrate.db", "inbox.db"} <= {path.name for path in files}
    return "".join(path.read_bytes().decode("latin-1") for path in files)


def test_no_answer_and_no_file_holds_what_opens(surface: Surface) -> None:
    told = "\n".join(surface.told)
    assert len(surface.secrets) > 20
    assert "something went wrong" in told
    assert [secret for secret in surface.secrets if secret in told] == []


def test_no_log_holds_what_opens_however_much_is_logged(surface: Surface) -> None:
    log = (surface.server.data.parent / "log").read_text(errors="replace")
    assert "this log is kept" in log
    assert "HTTPStatus.INTERNAL_SERVER_ERROR" in log
    assert "/dashboard/open/{link}" in log
    assert [secret for secret in surface.secrets if secret in log] == []


def test_a_key_is_taken_out_of_a_text_and_nothing_else() -> None:
    key = generate_key()
    assert redact(f"a {key}, b") == "a apr_live_..., b"
    assert redact("/dashboard/open/abc?x") == "/dashboard/open/...?x"
    assert redact("apr_live_... /dashboard/opened/abc") == "apr_live_... /dashboard/opened/abc"


def test_a_look_up_does_the_same_for_every_key(tmp_path: Path) -> None:
    """It is by the digest, of which nobody can tell how near to a known one a guess will come."""
    store = SQLiteStore(tmp_path / "applyrate.db")
    key, kept = issue_key("acme", "test", scopes=None, created_at=datetime.now(UTC))
    store.add_key(kept, digest(key))
    near = key[:-7] + ("0" if key[-7] != "0" else "1") + key[-6:]
    statements: list[str] = []
    with store._database.reading() as db:  # noqa: SLF001 (its connection is that of this thread)
        plan = str(db.execute("EXPLAIN QUERY PLAN " + _FIND, (digest(key),)).fetchall())
    assert "USING PRIMARY KEY (digest=?)" in plan
    db.set_trace_callback(statements.append)
    done = []
    for guess in (key, near, generate_key()):
        store.find_key(digest(guess))
        done.append([re.sub("x'[0-9a-fA-F]{64}'", "?", each) for each in statements])
        assert all(guess[9:20] not in each for each in statements)
        statements.clear()
    store.close()
    assert done[0] == done[1] == done[2]
    assert any("digest = ?" in statement for statement in done[0])


_FIND = "SELECT key_id FROM api_key WHERE digest = ?"


@pytest.mark.parametrize("check", [is_csrf_token, Question.position])
def test_a_proof_is_compared_in_constant_time(check: Callable[..., object]) -> None:
    """Read in the code: on a machine that does other work, no clock would tell."""
    assert "hmac.compare_digest(" in inspect.getsource(check)


def test_a_guess_that_is_nearly_right_is_answered_as_any_other(server: Server) -> None:
    key = server.new_key(server.new_org())
    answers = []
    for guess in (key[:-1] + ("0" if key[-1] != "0" else "1"), "apr_live_" + "0" * 38):
        answer = httpx.get(f"{server.url}/keys", headers={"Authorization": f"Bearer {guess}"})
        names = sorted(set(answer.headers) - {"x-request-id", "date"})
        answers.append((answer.status_code, answer.text, names))
    assert answers[0] == answers[1]
