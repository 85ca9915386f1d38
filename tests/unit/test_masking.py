"""Secrets are masked, by one place, and what only looks alike is not."""

from __future__ import annotations

import json
import time
from uuid import UUID

import pytest

from jupyter_flaskserve.kernel.exchanges import masking
from jupyter_flaskserve.kernel.exchanges.masking import MASK


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "PASSWORD", "userPassword", "user_password", "user-password",
     "user[password]", "passwd", "pwd", "newpwd", "passphrase", "passcode", "secret",
     "client_secret", "clientSecret", "token", "access_token", "accessToken", "csrf_token",
     "csrfmiddlewaretoken", "csrftoken", "api_key", "apiKey", "API_KEY", "apikey", "X-API-Key",
     "access_key", "private_key", "privateKey", "signing-key", "credential", "credentials", "auth",
     "oauth", "authorization", "session", "session_id", "sessionid", "PHPSESSID", "jsessionid",
     "sid", "otp", "totp", "pin", "PIN", "cvv", "jwt", "pass", "user_pass", "password_hint",
     "password2", "Authorization", "Proxy-Authorization", "X-Auth-Token", "X-CSRF-Token",
     "X-XSRF-Token", "HTTP_AUTHORIZATION", "db.password", "Set-Cookie", "HTTP_COOKIE", "cookies"],
)  # fmt: skip
def test_a_name_that_says_so_is_secret(name: str) -> None:
    assert masking.is_secret(name)
    assert masking.mask_value(name, "x") == MASK


@pytest.mark.parametrize(
    "name",
    ["author", "authors", "authority", "spinning", "pinned", "opinion", "tokenize", "tokenizer",
     "max_tokens", "secretary", "compass", "bypass", "passed", "passenger", "sessions_total",
     "keyboard", "key", "monkey", "primary_key", "sort_key", "name", "q", "page", "Content-Type",
     "Sec-WebSocket-Key", "Idempotency-Key", "side", "assidu"],
)  # fmt: skip
def test_a_name_that_only_looks_alike_is_not(name: str) -> None:
    assert not masking.is_secret(name)
    assert masking.mask_value(name, "x") == "x"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer abc.def", f"Bearer {MASK}"),
        ("authorization", "abc", MASK),
        ("Proxy-Authorization", "Basic YTpi", f"Basic {MASK}"),
        ("Cookie", "session=abc; theme=dark; x=", f"session={MASK}; theme={MASK}; x="),
        ("Cookie", "abc", MASK),
        ("Set-Cookie", "s=abc; Path=/; HttpOnly", f"s={MASK}; Path=/; HttpOnly"),
        ("X-API-Key", "a b", MASK),
        ("X-CSRFToken", "abc", MASK),
        ("Referer", "http://h/x?token=1&a=2", f"http://h/x?token={MASK}&a=2"),
        ("Location", "/next?code=1&session=2", f"/next?code=1&session={MASK}"),
        ("Location", "https://ada:pw@h/", f"https://{MASK}@h/"),
        ("Content-Type", "text/html", "text/html"),
        ("User-Agent", "curl/8 (what? token=1)", "curl/8 (what? token=1)"),
        ("HX-Current-URL", "http://h/x?token=1", f"http://h/x?token={MASK}"),
        ("Location", "/done#access_token=1&n=2", f"/done#access_token={MASK}&n=2"),
        ("Location", "https://ada:p@w@h/", f"https://{MASK}@h/"),
        ("X-Data", '{"token": "x"}', f'{{"token": "{MASK}"}}'),
    ],
)
def test_headers_keep_what_is_no_secret(name: str, value: str, shown: str) -> None:
    assert masking.mask_header(name, value) == shown
    assert masking.mask_headers([(name, value)]) == [(name, shown, shown != value)]


def test_the_mask_does_not_tell_the_length() -> None:
    assert masking.mask_value("token", "x") == masking.mask_value("token", "x" * 100)
    assert masking.mask_value("token", "") == ""


def test_fields_are_masked_by_their_names() -> None:
    pairs = [("a", "1"), ("token", "2"), ("pin", "")]
    assert masking.mask_pairs(pairs) == [
        ("a", "1", False),
        ("token", MASK, True),
        ("pin", "", False),
    ]
    assert masking.mask_pairs([("to", "/in?token=x")]) == [("to", f"/in?token={MASK}", True)]
    assert masking.mask_pairs(pairs, every=True) == [
        ("a", MASK, True), ("token", MASK, True), ("pin", "", False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ""),
        ("a=1&b", "a=1&b"),
        ("token=1&a=2&token=3", f"token={MASK}&a=2&token={MASK}"),
        ("api%5Fkey=1", f"api%5Fkey={MASK}"),
        ("user%5Bpassword%5D=x", f"user%5Bpassword%5D={MASK}"),
        ("pass+word=x&pass=y", f"pass+word=x&pass={MASK}"),
        ("pin=&=&&x==", "pin=&=&&x=="),
        ("token==a", f"token={MASK}"),
        ("to=%2Fin%3Ftoken%3Dx%26a%3D1&b=%2F", f"to=%2Fin%3Ftoken%3D{MASK}%26a%3D1&b=%2F"),
        ("to=/in?token=x", f"to=%2Fin%3Ftoken%3D{MASK}"),
        (
            "a=%7B%22pin%22:1,%22b%22:%22%5Cud800%22%7D",
            f"a=%7B%22pin%22%3A+%22{MASK}%22%2C+%22b%22%3A+%22%3F%22%7D",
        ),
        ("payload=%7B%22pin%22:1%7D", f"payload=%7B%22pin%22%3A+%22{MASK}%22%7D"),
    ],
)
def test_queries_are_masked_field_by_field(query: str, shown: str) -> None:
    assert masking.mask_query(query) == shown


def test_arguments_of_a_rule_are_masked_in_the_path() -> None:
    arguments = {"token": "a b", "user": "ada", "pin": 7}
    assert masking.mask_path("/reset/a b/ada/7", arguments) == f"/reset/{MASK}/ada/{MASK}"
    assert masking.mask_path("/reset/a%20b", {"token": "a b"}) == f"/reset/{MASK}"
    assert masking.mask_path("/x", {"user": "ada", "token": None, "pin": ""}) == "/x"


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/reset/%73ecret/x", "secret"),
        ("/reset/it's%20caf%C3%A9/x", "it's caf\u00e9"),
        ("/reset/it%27s%20caf%c3%a9/x", "it's caf\u00e9"),
        ("/reset/a%2Fb/c/x", "a/b/c"),
        ("/reset/%252E/x", "%2E"),
        ("/reset/0C0FFEE0-0000-0000-0000-000000000000/x", UUID("0c0ffee0" + "0" * 24)),
    ],
)
def test_an_argument_is_found_however_it_is_written(path: str, token: object) -> None:
    assert masking.mask_path(path, {"token": token}) == f"/reset/{MASK}/x"


def test_where_an_argument_cannot_be_found_the_path_is_not_shown() -> None:
    for token in (object(), 7.0, "other", "x" * 100_000):
        assert masking.mask_path("/reset/abc", {"token": token}) == MASK


# Bodies


def masked_json(value: object) -> object:
    return json.loads(masking.mask_body(json.dumps(value).encode(), "application/json"))


def test_json_is_masked_at_every_depth() -> None:
    assert masked_json(
        {
            "user": {"name": "ada", "password": "s3cret", "pins": [1]},
            "list": [{"api_key": 7}, {"token": {"deep": "s3cret"}}],
            "token": None,
            "secret": "",
            "auth": [],
        }
    ) == {
        "user": {"name": "ada", "password": MASK, "pins": [1]},
        "list": [{"api_key": MASK}, {"token": MASK}],
        "token": None,
        "secret": "",
        "auth": [],
    }


def test_json_is_masked_where_a_text_in_it_is_json_or_a_url() -> None:
    assert masked_json(
        {"body": '{"pin": 1}', "to": "/in?token=x", "dsn": "db://ada:x@h", "n": "[1]", "q": "a?b"}
    ) == {
        "body": f'{{"pin": "{MASK}"}}',
        "to": f"/in?token={MASK}",
        "dsn": f"db://{MASK}@h",
        "n": "[1]",
        "q": "a?b",
    }


def test_a_form_as_pairs_of_name_and_value_is_masked() -> None:
    fields = [{"name": "user", "value": "ada"}, {"name": "password", "value": "x", "n": 1}]
    fields_shown = [fields[0], {"name": "password", "value": MASK, "n": 1}]
    assert masked_json(fields) == fields_shown


@pytest.mark.parametrize(
    "body",
    [
        '{"password": "s3cret", "password": ""}',
        '{"a": {"password": "s3cret"}, "a": 1}',
        '[{"a": 1, "b": [{"token": "s3cret", "token": null}]}]',
    ],
)
def test_a_name_that_is_there_twice_hides_nothing(body: str) -> None:
    shown = masking.mask_body(body.encode(), "application/json")
    assert b"s3cret" not in shown
    assert MASK.encode() in shown


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("text", ['{"password": "s3cret"}', '{"password": "s3cret", "n'])
def test_json_is_masked_in_each_of_its_encodings(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    for cut in (data, data[:-1]):
        shown = masking.mask_body(cut, "application/json")
        assert MASK.encode() in shown
        assert b"s3cret" not in shown.replace(b"\0", b"")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/vnd.api+json; x=1", "", "text/plain"]
)
def test_json_is_known_by_its_type_or_its_look(kind: str) -> None:
    assert b"s3cret" not in masking.mask_body(b' {"token": "s3cret"}', kind)


def test_a_body_without_secrets_is_left_as_it_is() -> None:
    for body in (b'{"n":   1.10, "n": 2}', b"[1]", b'"token"', b"", b"null"):
        assert masking.mask_body(body, "application/json") is body
    assert masking.mask_body(b"password=x", "text/html") == b"password=x"
    assert masking.mask_body(b"password=x", "text/plain") == b"password=x"


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1, "password": "s3cret',
        '{"a": 1, "password": "s3cret\\" s3cret", "b": ',
        '{"password" : s3cret}',
        "{'password': 's3cret'}",
        "{password: 's3cret'}",
        '{"token": {"x": "s3cret", "y": ["s3cret"]}, "b": [1',
        '{"token": {"x": "s3cret", "y": ["s3cr',
        '{"a": {"b": [{"password": "s3cret"}]}',
        '{"name": "x", "api_key":"s3cret"} trailing {"token":"s3cret"}',
        '{"n": 1}\n{"secret": "s3cret"}\n',
        '{"session": "s3cret"',
        '{"pin": 1234567',
        'password="s3cret',
        '{"API token": "s3cret", "n',
        '{"\\u0070assword": "s3cret", "n',
        '{"user[password]": "s3cret", "n',
        '{"to": "http://h/in?token=s3cret", "n',
        "[" * 100_000 + '{"password": "s3cret"}',
    ],
)
def test_json_that_is_malformed_or_cut_leaks_nothing_that_can_be_found(body: str) -> None:
    shown = masking.mask_body(body.encode(), "application/json").decode()
    assert MASK in shown
    assert "s3cr" not in shown
    assert "1234567" not in shown


def test_what_is_no_secret_in_malformed_json_stays() -> None:
    body = b'{"name": "ada", "password": "x", "tags": ["a", {"author": "b"}], "n": 1'
    shown = masking.mask_body(body, "application/json")
    assert shown == (
        b'{"name": "ada", "password": "********", "tags": ["a", {"author": "b"}], "n": 1'
    )


def test_forms_are_masked_cut_or_not() -> None:
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    assert masking.mask_body(b"name=a&password=x", kind) == b"name=a&password=********"
    assert masking.mask_body(b"password=\xff%f", kind) == b"password=********"


PARTS = (
    b"--cut\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nada\r\n"
    b"--cut\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ns3cret\r\n"
    b"--cut\r\nContent-Disposition: form-data; name=secret; filename=\"k\"\r\n"
    b"Content-Type: text/plain\r\n\r\ns3cret\r\ns3cret\r\n"
    b"--cut\r\nContent-Disposition: form-data; name=\"data\"\r\nContent-Type: application/json\r\n"
    b"\r\n{\"token\": \"s3cret\"}\r\n--cut--\r\n"
)  # fmt: skip


def test_multipart_forms_are_masked_part_by_part() -> None:
    shown = masking.mask_body(PARTS, 'multipart/form-data; boundary="cut"')
    assert shown.count(MASK.encode()) == 3
    assert b"s3cret" not in shown
    assert b"\r\n\r\nada\r\n--cut" in shown
    assert shown.endswith(b'{"token": "********"}\r\n--cut--\r\n')
    plain = (
        PARTS.replace(b"password", b"author").replace(b"secret", b"file").replace(b"token", b"n")
    )
    assert masking.mask_body(plain, "multipart/form-data; boundary=cut") == plain


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("boundary=cut", 'form-data; filename="a name=b"; name="password"'),
        ("boundary=cut", 'form-data; name="a;b \\" password"'),
        ("boundary=cut", "form-data; name*=utf-8''pass%77ord"),
        ("boundary=cut", 'form-data; name*0="pass"; name*1="word"'),
        ("boundary=cut", "form-data;\r\n\tname=password"),
        ('x="boundary=b"; boundary="cut"', "form-data; name=password"),
        ("boundary=other", "form-data; name=x"),
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_part_is_known_however_it_is_headed(kind: str, head: str, end: str) -> None:
    field = f"--cut{end}Content-Disposition: {head}{end}{end}s3cret{end}"
    body = f"{field}{field}--cut--{end}".encode()
    shown = masking.mask_body(body, f"multipart/form-data; {kind}")
    assert b"s3cret" not in shown
    assert MASK.encode() in shown


def test_parts_in_parts_are_masked_or_not_shown() -> None:
    body = b"s3cret"
    for depth in range(2000):
        body = (
            b"--b%d\r\nContent-Type: multipart/x; boundary=b%d\r\n\r\n" % (depth, depth - 1) + body
        )
        if depth in (3, 1999):
            shown = masking.mask_body(body, f"multipart/x; boundary=b{depth}")
            assert shown.endswith(MASK.encode())


@pytest.mark.parametrize("end", [1, 2, 3, *range(0, len(PARTS), 7)])
def test_a_cut_multipart_form_leaks_nothing(end: int) -> None:
    for kind in ("multipart/form-data; boundary=cut", "multipart/form-data"):
        assert b"s3cr" not in masking.mask_body(PARTS[:end], kind)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("User(name='a', password='x', n=1)", f"User(name='a', password='{MASK}', n=1)"),
        ("{'token': b'x', 'n': 1}", f"{{'token': \"{MASK}\", 'n': 1}}"),
        ('body=\'{"pin": "x", "n": 1}\'', f'body=\'{{"pin": "{MASK}", "n": 1}}\''),
        (r"""body="{\"pin\": \"x\", 'n': 1}\"""", rf"""body="{{\"pin\": "{MASK}", 'n': 1}}\""""),
        ("<Conf secret=(1, 2) x=3>", f'<Conf secret="{MASK}" x=3>'),
        ("author='a', n={'b': 1}", "author='a', n={'b': 1}"),
        ("{b'token': b'x', b'n': b'y'}", f"{{b'token': \"{MASK}\", b'n': b'y'}}"),
        ("H([('Cookie', 'x=1'), ('A', 'b')])", f"H([('Cookie', '{MASK}'), ('A', 'b')])"),
        ("[(b'authorization', b'x')]", f"[(b'authorization', \"{MASK}\")]"),
        ("['token', 'n']", "['token', 'n']"),
        ("dsn='db://ada:x@h/', n=1", f"dsn='db://{MASK}@h/', n=1"),
        (
            "x[token]=1, token[0][a]=2, y[token]: 3",
            f'x[token]="{MASK}", token[0][a]="{MASK}", y[token]: "{MASK}"',
        ),
    ],
)
def test_assignments_in_a_text_are_masked(text: str, shown: str) -> None:
    assert masking.mask_text(text) == shown


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, '"' * 300_000, "token" * 200_000, "a=" * 300_000, "a " * 300_000,
     "token" + " " * 1_000_000, "secret={" * 100_000, "\\" * 1_000_000, "'a':" * 200_000,
     "[" * 1_000_000, "[a]" * 300_000, "a[" * 500_000, "-" * 1_000_000, '("' * 500_000,
     "('a'," * 200_000, '"\\u0061' * 100_000, "://a" * 200_000, "?a#" * 200_000],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    start = time.thread_time()
    masking.mask_text(text)
    assert time.thread_time() - start < 3
