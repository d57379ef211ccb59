"""What others may do to somebody who is signed in, seen in the browser: nothing."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog

from applyrate.dashboard.policy import SESSION_COOKIE, VISITOR_COOKIE
from applyrate.dashboard.routes import PAGES
from applyrate.dashboard.tokens import csrf_token
from applyrate.usage import ResourceType
from tests.browser.elsewhere import OTHER_SITE, SAME_SITE, Elsewhere, somebody_elses_site
from tests.browser.markup import PLACES, Planted, planted
from tests.browser.readers import Readers, give_key
from tests.servers import Server, running_server

KEPT: Final = "/dashboard/keep?type=action&id=refund"

COUNT_PLANTED = """() => document.querySelectorAll('.planted, [onerror]').length"""
NOTE_VIOLATIONS = """() => {
  window.violated = [];
  document.addEventListener("securitypolicyviolation",
    ({ effectiveDirective: rule, blockedURI }) => window.violated.push([rule, blockedURI]));
}"""


class Victim:
    """Somebody signed in to an organization of their own; nothing they see is complained of."""

    def __init__(self, server: Server, context: BrowserContext) -> None:
        self.server = server
        self.org = server.new_org()
        self.context = context
        self.page = context.new_page()
        self.dialogs: list[str] = []
        context.on("dialog", self._close)
        give_key(self.page, server.new_key(self.org))

    def _close(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def key_id(self) -> str:
        return self.server.store.keys(self.org)[0].key_id

    @property
    def session(self) -> str:
        return str(cookie(self.context, SESSION_COOKIE)["value"])

    def owned(self) -> list[object]:
        """All that a form can change."""
        store = self.server.store
        keys = [(key.key_id, key.name, key.revoked_at) for key in store.keys(self.org)]
        catalogued = store.catalogue(self.org, ResourceType.ACTION, ["refund"])
        self.page.goto("/dashboard/intake")
        return [keys, catalogued, "Conversations are also read from" in self.page.content()]

    def is_signed_in(self) -> bool:
        self.page.goto("/dashboard/keys")
        return self.page.get_by_role("heading", level=1).inner_text() == "Keys"


def cookie(context: BrowserContext, name: str) -> Any:
    (found,) = (each for each in context.cookies() if each["name"] == name)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of our own: failed sign-ins from an address count together."""
    with running_server(tmp_path_factory.mktemp("security") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with somebody_elses_site() as site:
        yield site


@pytest.fixture
def victim(browser: Browser, site: Server) -> Iterator[Victim]:
    context = browser.new_context(base_url=site.url)
    context.set_default_timeout(10_000)
    yield Victim(site, context)
    context.close()


@pytest.fixture(scope="module")
def bystander(browser: Browser, site: Server) -> Iterator[Victim]:
    """The same for tests that leave the session as it is."""
    context = browser.new_context(base_url=site.url)
    context.set_default_timeout(10_000)
    yield Victim(site, context)
    context.close()


def forms(victim: Victim) -> dict[str, dict[str, str]]:
    """Every form of the dashboard as somebody else would have it sent, by where it goes."""
    return {
        "/dashboard/keys": {"name": "stolen", "access": "full"},
        f"/dashboard/keys/{victim.key_id}/revoke": {},
        "/dashboard/intake": {"attribute": "stolen"},
        KEPT: {"keep": "yes"},
        "/dashboard/sign-in": {"key": victim.server.new_key(victim.server.new_org())},
        "/dashboard/sign-out": {},
    }


def test_every_form_there_is_is_tried(bystander: Victim) -> None:
    posted = {path for page in PAGES if "POST" in page.http_methods for path in page.paths}
    tried = {
        action.partition("?")[0].replace(bystander.key_id, "{key_id:str}")
        for action in forms(bystander)
    }
    assert tried == posted


def form(action: str, fields: Mapping[str, str]) -> str:
    hidden = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    return f'<form method="post" action="{action}">{hidden}</form>'


SEND: Final = """(markup) => {
  document.body.insertAdjacentHTML("beforeend", markup);
  document.body.lastElementChild.submit();
}"""


@pytest.mark.parametrize("host", [SAME_SITE, OTHER_SITE])
def test_a_form_of_another_origin_changes_nothing(
    victim: Victim, elsewhere: Elsewhere, host: str
) -> None:
    before, page = victim.owned(), victim.page
    proofs: tuple[dict[str, str], ...] = ({}, {"csrf_token": csrf_token("the attacker's own")})
    for action, fields in forms(victim).items():
        for proof in proofs:
            elsewhere.page = form(victim.server.url + action, {**fields, **proof})
            page.goto(elsewhere.url(host))
            with page.expect_navigation() as sent:
                page.evaluate("document.forms[0].submit()")
            # Of another site the browser sends no cookie, and whoever has none is a stranger.
            is_stranger = host == OTHER_SITE and sent.value.url.endswith(("/sign-in", "/dashboard"))
            assert sent.value.status == 403 or is_stranger, action
    assert victim.owned() == before
    assert victim.is_signed_in()


def test_not_even_the_right_proof_lets_a_form_of_another_origin_in(
    victim: Victim, elsewhere: Elsewhere
) -> None:
    proof = {"csrf_token": csrf_token(victim.session)}
    elsewhere.page = form(f"{victim.server.url}/dashboard/sign-out", proof)
    victim.page.goto(elsewhere.url(SAME_SITE))
    with victim.page.expect_navigation() as sent:
        victim.page.evaluate("document.forms[0].submit()")
    assert sent.value.status == 403
    assert victim.is_signed_in()


@pytest.mark.parametrize("proof", ["", "0" * 64, csrf_token("another session")])
def test_a_form_of_our_own_page_with_a_foreign_proof_is_refused(
    bystander: Victim, proof: str
) -> None:
    before, page = bystander.owned(), bystander.page
    for action, fields in forms(bystander).items():
        page.goto("/dashboard/keys")
        with page.expect_navigation() as sent:
            page.evaluate(SEND, form(action, {**fields, "csrf_token": proof}))
        assert sent.value.status == 403, action
    assert bystander.owned() == before
    assert bystander.is_signed_in()


ASK: Final = """async ([url, options]) => {
  try {
    const answer = await fetch(url, { credentials: "include", ...options });
    return answer.type === "opaque" ? "opaque" : await answer.text();
  } catch (error) {
    return error.name;
  }
}"""


@pytest.mark.parametrize("host", [SAME_SITE, OTHER_SITE])
def test_a_script_of_another_origin_reads_and_changes_nothing(
    victim: Victim, elsewhere: Elsewhere, host: str
) -> None:
    before, page, url = victim.owned(), victim.page, victim.server.url
    elsewhere.page = "<title>elsewhere</title>"
    page.goto(elsewhere.url(host))
    places = ("/dashboard", "/dashboard/keys", "/dashboard/unused.csv", "/keys", "/docs")
    for place in places:
        assert page.evaluate(ASK, [url + place, {}]) == "TypeError", place
        assert page.evaluate(ASK, [url + place, {"mode": "no-cors"}]) in ("opaque", "TypeError")
    for action, fields in forms(victim).items():
        blind = {"method": "POST", "mode": "no-cors", "body": urlencode(fields)}
        blind["headers"] = {"Content-Type": "application/x-www-form-urlencoded"}  # type: ignore[assignment]
        page.evaluate(ASK, [url + action, blind])
        proven = {"method": "POST", "headers": {"X-CSRF-Token": csrf_token(victim.session)}}
        assert page.evaluate(ASK, [url + action, proven]) == "TypeError"
    for method in ("PUT", "DELETE"):
        assert (
            page.evaluate(ASK, [f"{url}/keys/{victim.key_id}", {"method": method}]) == "TypeError"
        )
    told = page.evaluate(
        """(url) => new Promise((done) => {
          const stream = new EventSource(url, { withCredentials: true });
          stream.onopen = () => done("open");
          stream.onerror = () => { stream.close(); done("refused"); };
        })""",
        f"{url}/dashboard/stream",
    )
    assert told == "refused"
    assert victim.owned() == before
    assert victim.is_signed_in()


@pytest.mark.parametrize("host", [SAME_SITE, OTHER_SITE])
def test_no_page_can_be_put_into_a_frame_of_another_origin(
    bystander: Victim, elsewhere: Elsewhere, host: str
) -> None:
    places = ("/dashboard", "/dashboard/keys", "/dashboard/nowhere", "/dashboard/sign-in", "/docs")
    elsewhere.page = "".join(
        f'<iframe src="{bystander.server.url}{place}"></iframe>' for place in places
    )
    bystander.page.goto(elsewhere.url(host), wait_until="load")
    framed = bystander.page.frames[1:]
    assert len(framed) == len(places)
    for frame in framed:
        assert "Applyrate" not in frame.content()
        assert not frame.url.startswith(bystander.server.url)


ATTEMPTS: Final = {
    "an inline script": ("script-src-elem", "<script>ran()</script>"),
    "a script from elsewhere": ("script-src-elem", "<script src='{elsewhere}/s.js'></script>"),
    "an event handler": ("script-src-attr", "<img src='data:,' onerror='ran()'>"),
    "a javascript: address": ("script-src-elem", "<a href='javascript:ran()'>go</a>"),
    "a picture from elsewhere": ("img-src", "<img src='{elsewhere}/i.png'>"),
    "a style of its own": ("style-src-attr", "<p style='color: red'>"),
    "a style from elsewhere": ("style-src-elem", "<link rel=stylesheet href='{elsewhere}/s.css'>"),
    "a frame": ("frame-src", "<iframe src='{elsewhere}/f'></iframe>"),
    "a plug-in": ("object-src", "<object data='{elsewhere}/o'></object>"),
    "another base": ("base-uri", "<base href='{elsewhere}/'>"),
    "a form to elsewhere": (
        "form-action",
        "<form action='{elsewhere}/p'><button>go</button></form>",
    ),
}
INSERT: Final = """async (markup) => {
  window.ran = () => document.title = "it ran";
  const made = document.createRange().createContextualFragment(markup);
  const first = made.firstElementChild;
  document.body.append(made);
  (first.querySelector("button") ?? first).click();
  await new Promise((done) => setTimeout(done, 50));
  for (let left = 100; left && !window.violated.length; left--)
    await new Promise((done) => setTimeout(done, 20));
  return [window.violated.map(([rule]) => rule), document.title];
}"""


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_gets_into_a_page_runs_and_loads_nothing(
    bystander: Victim, elsewhere: Elsewhere, attempt: str
) -> None:
    rule, markup = ATTEMPTS[attempt]
    elsewhere.asked.clear()
    bystander.page.goto("/dashboard/keys")
    bystander.page.evaluate(NOTE_VIOLATIONS)
    violated, title = bystander.page.evaluate(
        INSERT, markup.replace("{elsewhere}", elsewhere.url(SAME_SITE))
    )
    assert rule in violated
    assert title == "Keys · Applyrate"
    assert elsewhere.asked == []
    assert bystander.page.url.endswith("/dashboard/keys")


def test_a_script_in_a_page_reaches_nothing_else(bystander: Victim, elsewhere: Elsewhere) -> None:
    elsewhere.asked.clear()
    bystander.page.goto("/dashboard/keys")
    bystander.page.evaluate(NOTE_VIOLATIONS)
    failed = bystander.page.evaluate(
        """async (url) => {
          // Of what runs now the browser believes that a developer typed it, and lets it evaluate.
          await new Promise((done) => setTimeout(done));
          const failed = [];
          const attempt = async (one) => {
            try { await one(); } catch (error) { failed.push(error.name); }
          };
          await attempt(() => fetch(`${url}/f`));
          await attempt(() => eval("1"));
          await attempt(() => new Function("1")());
          await attempt(() => new Promise((_, refuse) => {
            const request = new XMLHttpRequest();
            request.onerror = () => refuse(new Error());
            request.open("GET", `${url}/x`);
            request.send();
          }));
          navigator.sendBeacon(`${url}/b`);
          await attempt(() => new Promise((_, refuse) => {
            new WebSocket(url.replace("http", "ws")).onerror = () => refuse(new Error());
          }));
          return failed;
        }""",
        elsewhere.url(SAME_SITE),
    )
    assert failed == ["TypeError", "EvalError", "EvalError", "Error", "Error"]
    assert {rule for rule, _ in bystander.page.evaluate("window.violated")} == {
        "connect-src",
        "script-src",
    }
    assert elsewhere.asked == []


@pytest.fixture(scope="module")
def hostile(site: Server) -> Planted:
    return Planted(site)


def test_markup_in_any_name_or_message_is_only_text(readers: Readers, hostile: Planted) -> None:
    page, seen = readers.sign_in(hostile.key), ""
    dialogs: list[Dialog] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog)
        dialog.dismiss()

    page.on("dialog", note)
    for place in hostile.pages():
        page.goto(place)
        page.evaluate("document.fonts.ready")
        assert page.evaluate(COUNT_PLANTED) == 0, place
        seen += page.evaluate("document.body.textContent").lower()
    assert [place for place in PLACES if planted(place)[:64].lower() not in seen] == []
    assert dialogs == []


def test_markup_that_arrives_live_is_only_text(readers: Readers, hostile: Planted) -> None:
    page = readers.sign_in(hostile.key)
    page.goto(f"/dashboard?{urlencode({'search': planted('id-instruction')})}")
    figure = page.locator("#resources tbody tr td").first
    before = int(figure.inner_text())
    with page.expect_response(re.compile("/dashboard/stream")):
        page.reload()
    hostile.record("live")
    page.wait_for_function(
        "(count) => document.querySelector('#resources tbody td').textContent === String(count)",
        arg=before + 1,
    )
    assert page.evaluate(COUNT_PLANTED) == 0


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>"])
def test_an_address_that_would_run_is_never_a_link(hostile: Planted, url: str) -> None:
    entry = {"type": "action", "id": "bad-link", "url": url}
    assert hostile.client.put("/resources", json=entry).status_code == 400


PARAMETERS: Final = (
    *("id", "type", "preset", "from", "to", "timezone", "search", "sort", "order", "page"),
    *("reason", "next", "last_event_id", "none"),
)
READ_ALL: Final = """async (places) => {
  const read = [];
  for (const place of places) {
    const text = await (await fetch(place)).text();
    const page = new DOMParser().parseFromString(text, "text/html");
    const count = page.querySelectorAll(".planted, [onerror]").length;
    read.push([place, count, page.documentElement.textContent]);
  }
  return read;
}"""


def test_markup_in_any_parameter_or_path_is_only_text(bystander: Victim) -> None:
    shown = 0
    bystander.page.goto("/dashboard")
    for place, count, text in bystander.page.evaluate(READ_ALL, marked_places()):
        assert count == 0, place
        shown += "asked" in text
    assert shown > 40
    for place in (f"/dashboard/{planted('asked')}", f"/dashboard?type={quote(planted('asked'))}"):
        bystander.page.goto(place)
        assert "asked" in bystander.page.inner_text("body")
        assert bystander.page.evaluate(COUNT_PLANTED) == 0
    assert bystander.dialogs == []


def test_markup_in_where_a_stranger_wants_to_go_is_only_text(readers: Readers) -> None:
    page, wanted = readers.arrive(), f"/dashboard/{planted('asked')}"
    page.goto(f"/dashboard/sign-in?{urlencode({'next': wanted})}")
    assert page.locator("[name=next]").input_value() == wanted
    assert page.evaluate(COUNT_PLANTED) == 0


def marked_places() -> list[str]:
    """Every page with markup in each of the parameters there are, and in its path."""
    paths = {
        re.sub(r"\{\w+:\w+\}", "x", path)
        for page in PAGES
        if "GET" in page.http_methods
        for path in page.paths
    } - {"/dashboard/open/x"}  # after ten of them the address is locked out
    marked = planted("asked")
    places = [f"{path}?{urlencode({name: marked})}" for path in paths for name in PARAMETERS]
    places += [
        f"/dashboard/resource?{urlencode({'id': marked, name: marked})}" for name in PARAMETERS
    ]
    places += [f"/dashboard/{quote(marked)}", f"/dashboard/open/{quote(marked, safe='')}"]
    is_endless = re.compile(r"/dashboard/stream\?(?!last_event_id)").match
    return sorted(place for place in places if not is_endless(place))


def test_markup_in_a_form_that_is_refused_is_only_text(victim: Victim) -> None:
    page = victim.page
    page.goto("/dashboard/keys")
    page.get_by_label("Name", exact=True).fill(planted("name"))
    page.get_by_label("only what is ticked here").check()
    page.get_by_role("button", name="Make the key").click()
    page.wait_for_selector(".complaint")
    assert page.get_by_label("Name", exact=True).input_value() == planted("name")
    assert page.evaluate(COUNT_PLANTED) == 0
    page.get_by_label("do everything").check()
    page.get_by_role("button", name="Make the key").click()
    page.wait_for_selector(".secret")
    assert planted("name") in page.locator(".secret").inner_text()
    assert page.evaluate(COUNT_PLANTED) == 0
    assert victim.dialogs == []


@pytest.fixture
def attacker(browser: Browser, site: Server) -> Iterator[BrowserContext]:
    """Somebody with a session of their own, who would like others to have it."""
    context = browser.new_context(base_url=site.url)
    give_key(context.new_page(), site.new_key(site.new_org()))
    yield context
    context.close()


def test_a_session_that_was_there_before_the_sign_in_is_not_the_one_after_it(
    browser: Browser, site: Server, attacker: BrowserContext
) -> None:
    context, org = browser.new_context(base_url=site.url), site.new_org()
    page, known = context.new_page(), cookie(attacker, SESSION_COOKIE)["value"]
    page.goto("/dashboard/sign-in")
    proof = csrf_token(cookie(context, VISITOR_COOKIE)["value"])
    plant(context, known, site.url)
    with page.expect_navigation():
        fields = {"key": site.new_key(org), "csrf_token": proof}
        page.evaluate(SEND, form("/dashboard/sign-in", fields))
    assert page.locator(".org").inner_text() == org
    assert cookie(context, SESSION_COOKIE)["value"] != known
    context.close()
    seen = attacker.pages[0]
    seen.goto("/dashboard")
    assert "/sign-in" in seen.url, "what was planted has ended"


def test_a_session_that_nobody_began_is_worth_nothing(browser: Browser, site: Server) -> None:
    context = browser.new_context(base_url=site.url)
    plant(context, "planted", site.url)
    page = context.new_page()
    give_key(page, site.new_key(org := site.new_org()))
    assert page.locator(".org").inner_text() == org
    assert cookie(context, SESSION_COOKIE)["value"] != "planted"
    plant(context, "planted", site.url)
    page.goto("/dashboard")
    assert "/sign-in" in page.url
    context.close()


@pytest.mark.parametrize("path", ["/", "/dashboard/keys"])
def test_a_session_planted_beside_ones_own_is_not_taken_for_it(
    victim: Victim, attacker: BrowserContext, path: str
) -> None:
    """Browsers send all cookies of a name, and any service of the same host may have set one."""
    plant(victim.context, cookie(attacker, SESSION_COOKIE)["value"], victim.server.url, path)
    victim.page.goto("/dashboard/keys")
    assert "given more than once" in victim.page.inner_text("main")
    assert victim.page.locator(".org").count() == 0


def plant(context: BrowserContext, value: str, url: str, path: str = "/dashboard") -> None:
    host = url.partition("//")[2].partition(":")[0]
    context.add_cookies([{"name": SESSION_COOKIE, "value": value, "domain": host, "path": path}])


@pytest.mark.parametrize("ended_by", ["signing out", "revoking the key"])
def test_a_session_that_ended_is_worth_nothing(
    victim: Victim, browser: Browser, ended_by: str
) -> None:
    kept, page = victim.session, victim.page
    if ended_by == "signing out":
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        assert [each for each in victim.context.cookies() if each["name"] == SESSION_COOKIE] == []
    else:
        victim.server.store.revoke_key(victim.org, victim.key_id, datetime.now(UTC))
    thief = browser.new_context(base_url=victim.server.url)
    plant(thief, kept, victim.server.url)
    stolen = thief.new_page()
    for place in ("/dashboard", "/dashboard/keys", "/dashboard/unused.csv", "/dashboard/stream"):
        stolen.goto(place)
        assert "/dashboard/sign-in" in stolen.url
    form: dict[str, str | float | bool] = {
        "name": "stolen",
        "access": "full",
        "csrf_token": csrf_token(kept),
    }
    assert thief.request.post("/dashboard/keys", form=form, max_redirects=0).status == 303
    assert [key.name for key in victim.server.store.keys(victim.org)] == ["test"]
    thief.close()


@pytest.mark.parametrize("forwarded", ["http", "https"])
def test_cookies_are_out_of_reach_of_scripts_and_of_plain_text(
    browser: Browser, site: Server, forwarded: str
) -> None:
    """Behind TLS, that is: a proxy in front says so."""
    context = browser.new_context(
        base_url=site.url, extra_http_headers={"X-Forwarded-Proto": forwarded}
    )
    page = context.new_page()
    page.goto("/dashboard/sign-in")
    seen = [cookie(context, VISITOR_COOKIE)]
    give_key(page, site.new_key(site.new_org()))
    seen.append(cookie(context, SESSION_COOKIE))
    for one in seen:
        flags = one["httpOnly"], one["sameSite"], one["secure"], one["path"]
        assert flags == (True, "Lax", forwarded == "https", "/dashboard")
    assert page.evaluate("document.cookie") == ""
    context.close()
