"""What a browser may do with the dashboard: nothing from elsewhere, no change but by its forms."""

import gzip
import re
from urllib.parse import quote

import httpx
import pytest

from applyrate.api.app import ROUTES
from applyrate.dashboard.assets import PREFIX, load_assets
from applyrate.dashboard.routes import PAGES
from tests.dashboard import SESSION, hidden_fields, reading, text_of
from tests.servers import Server

MOST_BYTES = 150_000

PLACES = ["/dashboard/keys", "/dashboard/intake", "/dashboard/sign-in", "/dashboard/nowhere"]


@pytest.mark.parametrize("place", PLACES)
def test_every_answer_says_what_a_browser_may_do_with_it(server: Server, place: str) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        for answer in (reader.open(place, follow=False), httpx.get(server.url + place)):
            policy = answer.headers["content-security-policy"]
            rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
            assert rules == {
                "default-src": "'none'",
                "script-src": "'self'",
                "style-src": "'self'",
                "img-src": "'self' data:",
                "connect-src": "'self'",
                "form-action": "'self'",
                "frame-ancestors": "'none'",
                "base-uri": "'none'",
            }
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"


def test_no_page_has_a_style_or_a_script_of_its_own_or_anything_from_elsewhere(
    server: Server,
) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        for place in PLACES:
            page = reader.open(place).text
            assert " style=" not in page
            assert "<style" not in page
            assert re.findall(r"<script(?! src=)", page) == []
            assert re.findall(r'\son\w+="', page) == []
            loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', page)
            assert [url for url in loaded if not url.startswith(("/dashboard/", "data:"))] == []


def test_a_page_is_not_kept_by_the_browser(server: Server) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        assert reader.open("/dashboard/keys").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("handler", PAGES, ids=str)
def test_no_route_of_the_dashboard_is_open_by_mistake(server: Server, handler: object) -> None:
    (path,) = handler.paths  # type: ignore[attr-defined]
    (method,) = handler.http_methods - {"HEAD", "OPTIONS"}  # type: ignore[attr-defined]
    place = re.sub(r"\{\w+:\w+\}", "anything", path)
    answer = httpx.request(method, server.url + place, data={"a": "b"})
    is_open = place.startswith(("/dashboard/sign-in", "/dashboard/open/", PREFIX))
    if is_open:
        assert answer.status_code in (200, 401, 403, 404)
    else:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/dashboard/sign-in")


@pytest.mark.parametrize("proof", [None, "", "0" * 64, "é"])
def test_a_change_that_comes_from_no_page_of_the_session_is_refused(
    server: Server, proof: str | None
) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        fields = {"name": "forged", "access": "full"} | (
            {} if proof is None else {"csrf_token": proof}
        )
        refused = reader.http.post("/dashboard/keys", data=fields)
        assert refused.status_code == 403
        assert "does not belong to this session" in text_of(refused)
        assert [key.name for key in server.store.keys(org)] == ["test"]


def test_the_proof_of_one_session_is_none_for_another(server: Server) -> None:
    org = server.new_org()
    with (
        reading(server, server.new_key(server.new_org())) as attacker,
        reading(server, server.new_key(org)) as reader,
    ):
        proof = hidden_fields(attacker.open("/dashboard/keys"), "/dashboard/keys")
        refused = reader.http.post("/dashboard/keys", data={**proof, "name": "x", "access": "full"})
        assert refused.status_code == 403
        assert len(server.store.keys(org)) == 1


def test_the_proof_may_come_as_a_header(server: Server) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        page = reader.open("/dashboard/keys")
        (proof,) = re.findall(r'"X-CSRF-Token":"(\w+)"', page.text)
        made = reader.http.post(
            "/dashboard/keys",
            data={"name": "made", "access": "full"},
            headers={"X-CSRF-Token": proof},
        )
        assert made.status_code == 200


@pytest.mark.parametrize("sender", ["cross-site", "same-site", "unheard-of"])
def test_a_form_that_another_origin_sent_is_refused_whatever_its_proof(
    server: Server, sender: str
) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        page, told = reader.open("/dashboard/keys"), {"Sec-Fetch-Site": sender}
        fields = {**hidden_fields(page, "/dashboard/keys"), "name": "forged", "access": "full"}
        refused = reader.http.post("/dashboard/keys", data=fields, headers=told)
        assert refused.status_code == 403
        assert "another origin sent it" in text_of(refused)
        assert len(server.store.keys(org)) == 1
        for own in ("same-origin", "none"):
            made = reader.http.post("/dashboard/keys", data=fields, headers={"Sec-Fetch-Site": own})
            assert made.status_code == 200


def test_of_two_sessions_that_a_browser_sends_none_is_believed(server: Server) -> None:
    with (
        reading(server, server.new_key(server.new_org())) as attacker,
        reading(server, server.new_key(server.new_org())) as reader,
    ):
        own, other = (each.http.cookies[SESSION] for each in (reader, attacker))
        for sent in (f"{SESSION}={own}; {SESSION}={other}", f"{SESSION}=x; a=b; {SESSION} = {own}"):
            refused = httpx.get(f"{server.url}/dashboard/keys", headers={"Cookie": sent})
            assert refused.status_code == 400
            assert f"the cookie {SESSION}: given more than once" in text_of(refused)
        twice = f"{SESSION}={own}; {SESSION}={own}"
        assert httpx.get(f"{server.url}/dashboard/keys", headers={"Cookie": twice}).is_success


def test_nobody_is_signed_in_by_another_sites_form(server: Server) -> None:
    key = server.new_key(server.new_org())
    forged = httpx.post(f"{server.url}/dashboard/sign-in", data={"key": key})
    assert forged.status_code == 403
    assert SESSION not in forged.cookies
    with reading(server) as reader:
        reader.open("/dashboard/sign-in")
        forged = reader.http.post("/dashboard/sign-in", data={"key": key, "csrf_token": "guess"})
        assert forged.status_code == 403
        assert SESSION not in reader.http.cookies


@pytest.mark.parametrize(
    "next_",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/dashboard",
        "/dashboards",
        "/dashboard\\@elsewhere.example",
        "/dashboard/\r\nX-Bad: 1",
        "javascript:alert(1)",
    ],
)
def test_a_sign_in_leads_nowhere_else(server: Server, next_: str) -> None:
    with reading(server) as reader:
        form = reader.open(f"/dashboard/sign-in?next={quote(next_, safe='')}")
        key = server.new_key(server.new_org())
        fields = {"key": key, "next": next_}
        answer = reader.submit(form, "/dashboard/sign-in", fields, follow=False)
        assert answer.headers["location"] == "/dashboard"


def test_what_a_reader_sends_is_shown_as_text(server: Server) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        page = reader.open("/dashboard/keys")
        made = reader.submit(
            page, "/dashboard/keys", {"name": '"><script>alert(1)</script>', "access": "full"}
        )
        assert made.status_code == 200
        assert "<script>alert" not in made.text
        missing = reader.open("/dashboard/<script>alert(1)</script>")
        assert missing.status_code == 404
        assert "<script>alert" not in missing.text


def test_errors_are_pages_for_a_browser_and_json_for_the_api(server: Server) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        missing = reader.open("/dashboard/nowhere")
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "text/html; charset=utf-8"
        assert "There is nothing here" in text_of(missing)
        assert missing.headers["x-request-id"] in missing.text
        assert "Sign out" in missing.text
    assert httpx.get(f"{server.url}/nowhere").json()["statusCode"] == 404


def test_a_page_that_the_key_may_not_see_names_the_scope(server: Server) -> None:
    key = server.new_key(server.new_org(), ["training:read"])
    with reading(server, key) as reader:
        for place, scope in (
            ("/dashboard/keys", "org:read"),
            ("/dashboard/intake", "chat-sessions:read"),
        ):
            refused = reader.open(place)
            assert refused.status_code == 403
            assert f"the key lacks the scope {scope}" in text_of(refused)
            assert "Your key has training:read" in text_of(refused)


def test_the_address_of_the_service_leads_to_the_dashboard(server: Server) -> None:
    answer = httpx.get(server.url)
    assert (answer.status_code, answer.headers["location"]) == (302, "/dashboard")


def test_scripts_and_styles_are_small(server: Server) -> None:
    assets = load_assets()
    assert assets.script is not None, "the bundle is not built: make install builds it"
    sent = 0
    with httpx.Client(base_url=server.url) as http:
        for asset in (assets.style, assets.script):
            with http.stream("GET", asset.url) as answer:
                assert answer.status_code == 200
                assert answer.headers["content-encoding"] == "gzip"
                assert answer.headers["content-type"] == f"{asset.media_type}; charset=utf-8"
                compressed = b"".join(answer.iter_raw())
            assert gzip.decompress(compressed) == asset.content
            sent += len(compressed)
    assert 10_000 < sent < MOST_BYTES


def test_scripts_and_styles_are_kept_for_good_and_change_their_names(server: Server) -> None:
    style = load_assets().style
    answer = httpx.get(server.url + style.url, headers={"Accept-Encoding": "identity"})
    assert answer.content == style.content
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "vary" in answer.headers
    for name in ("app.css", "manifest.json", "..%2Fassets.py"):
        assert httpx.get(f"{server.url}{PREFIX}/{name}").status_code == 404


def test_pages_are_no_part_of_the_api(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").text
    assert "/dashboard" not in document
    assert not set(PAGES) & set(ROUTES)
