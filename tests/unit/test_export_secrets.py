"""No secret of a notebook is in its project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exported_notebooks import quick_metadata
from exported_notebooks import write as write_cells

from jupyter_flaskserve.export import Exported, ExportError
from jupyter_flaskserve.secret_names import is_credential

__all__ = ["quick_metadata"]  # a fixture

HEAD = "import os\nfrom flask import Flask, request\napp = Flask(__name__)"
TOKEN = "ghp_" + "a1B2" * 9  # looks like one, and is none


def write(directory: Path, *cells: str) -> Exported:
    return write_cells(directory, HEAD, *cells)


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("code", "variable", "replaced"),
    [
        ("app.secret_key = 's3'", "SECRET_KEY", 'app.secret_key = os.environ["SECRET_KEY"]'),
        ("app.secret_key = b's3'", "SECRET_KEY", 'os.environ["SECRET_KEY"].encode()'),
        ("app.secret_key = b's3\\xff'", "SECRET_KEY", '.encode("latin-1")'),
        ("app.config['SECRET_KEY'] = 's3'", "SECRET_KEY", '= os.environ["SECRET_KEY"]'),
        ("app.config.update(SECRET_KEY='s3', X=1)", "SECRET_KEY", "X=1)"),
        ("app.config.from_mapping({'API_KEY': 's3'})", "API_KEY", "from_mapping({'API_KEY': os."),
        ("app.config['MAIL_PASSWORD'] = 's3'", "MAIL_PASSWORD", '["MAIL_PASSWORD"]'),
        ("app.secret_key = os.environ.get('SECRET_KEY', 's3')", "SECRET_KEY", "os.environ"),
        ("app.secret_key = os.getenv('SECRET_KEY') or 's3'", "SECRET_KEY", " or os.environ"),
        ("app.secret_key = 's3' if app else 's3'", "SECRET_KEY", "if app else os.environ"),
        ("app.secret_key = 's3'.encode()", "SECRET_KEY", '["SECRET_KEY"].encode()'),
        ("app.secret_key = 's3' + 'xy'", "SECRET_KEY", " + os.environ"),
        ("app.config['PIN'] = 's3'", "PIN", 'os.environ["PIN"]'),
        ("app.config['DB'] = 'postgresql://ada:s3@db/shop'", "DB", "= os.environ"),
        ("os.environ['API_TOKEN'] = 's3'", "API_TOKEN", "= os.environ"),
        ("%env API_TOKEN=s3", "API_TOKEN", "= os.environ"),
        ("def login(password='s3'):\n    pass\napp.login = login", "PASSWORD", "password=os.env"),
        (
            "@app.route('/')\ndef home():\n    if request.args.get('password') == 's3':\n"
            "        return 'in'\n    return 'out'",
            "PASSWORD",
            "== os.environ",
        ),
        (
            "@app.route('/')\ndef home():\n    ok = request.form['api_key'] != 's3'\n    return ''",
            "API_KEY",
            "!= os.environ",
        ),
    ],
)
def test_a_secret_comes_from_the_environment(
    tmp_path: Path, code: str, variable: str, replaced: str
) -> None:
    exported = write(tmp_path, code)
    assert "s3" in exported.secrets[variable]
    text = (tmp_path / "out" / "app.py").read_text()
    assert replaced in text
    assert "\nimport os\n" in text
    compile(text, "app.py", "exec")
    assert b"s3" not in everything_in(tmp_path / "out")
    assert f"{variable}=\n" in (tmp_path / "out" / ".env.example").read_text()
    assert f"`{variable}`" in (tmp_path / "out" / "README.md").read_text()
    assert "s3" not in repr(exported)
    assert any(variable in note for note in exported.notes)


VIEW = "@app.route('/')\ndef home():\n    {}\n    return ''"


@pytest.mark.parametrize(
    "code",
    [
        "app.secret_key = f's3cret'",
        "app.config['DB'] = 'mysql://ada:s3cret@{}/x'.format('db')",
        "app.config['DB'] = 'mysql://{}:s3cret@{}/x'.format('ada', 'db')",
        "app.config['H'] = {'Authorization': 'Bearer s3cret'}",
        "app.config['H'] = dict(auth=('ada', 's3cret'))",
        "app.config['X'] = 'https://s3cret@github.com/ada/shop'",
        "app.config['X'] = 'https://x.example/v1?q=1&api_key=s3cret'",
        "app.config['X'] = 'host=db user=ada password=s3cret'",
        "app.config['X'] = 'Server=db;User Id=ada;Pwd=s3cret;'",
        "app.config['X'] = 'password=s3cret'",
        "PASSWORDS = {'ada': 's3cret'}\napp.config['X'] = PASSWORDS",
        "API_KEYS = {'s3cret'}\napp.config['X'] = API_KEYS",
        "from werkzeug.security import generate_password_hash\n"
        "app.config['X'] = generate_password_hash('s3cret')",
        "import hashlib\napp.config['X'] = hashlib.sha256(b's3cret')",
        "import hashlib\napp.config['X'] = hashlib.sha256('s3cret'.encode())",
        "app.config.setdefault('SECRET_KEY', 's3cret')",
        "app.config['X'] = app.config.get('API_KEY', 's3cret')",
        "setattr(app, 'secret_key', 's3cret')",
        "[password, user] = ['s3cret', 'ada']\napp.config['X'] = password, user",
        VIEW.format("ok = request.form['password'] in ('s3cret',)"),
        VIEW.format("ok = (request.form['user'], request.form['password']) == ('ada', 's3cret')"),
        VIEW.format("ok = hmac.compare_digest(request.form['password'].encode(), b's3cret')"),
        VIEW.format("ok = request.headers.get('Authorization') == 'Bearer s3cret'"),
        f"app.config['X'] = 1  # was {TOKEN}",
    ],
)
def test_what_is_a_secret_by_its_place_is_in_no_file(tmp_path: Path, code: str) -> None:
    exported = write(tmp_path, "import hmac", code)
    assert TOKEN.encode() not in everything_in(tmp_path / "out")
    assert b"s3cret" not in everything_in(tmp_path / "out")
    assert "#" in code or any("s3cret" in value for value in exported.secrets.values())
    compile((tmp_path / "out" / "app.py").read_text(), "app.py", "exec")


@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("x = 'b'\napp.secret_key = f's3cret-{x}'", "an f-string"),
        ("x = 'b'\napp.config['DB'] = f'mysql://{x}:s3cret@db/x'", "an f-string"),
        (f"x = 'b'\napp.config['X'] = f'{TOKEN}{{x}}'", "an f-string"),
        (
            VIEW.format("match request.form['password']:\n        case 's3cret': return 'in'"),
            "a case",
        ),
    ],
)
def test_a_secret_that_cannot_be_replaced_is_refused(tmp_path: Path, code: str, where: str) -> None:
    with pytest.raises(ExportError, match=f"has a password or a key in {where}"):
        write(tmp_path, code)


def test_the_note_says_where_each_secret_was(tmp_path: Path) -> None:
    exported = write(tmp_path, "app.secret_key = 's3'")
    assert any("set SECRET_KEY (cell 2) in .env" in note for note in exported.notes)


@pytest.mark.parametrize(
    ("name", "variable"), [("pwd", "APP_PWD"), ("password", "PASSWORD"), ("PIN", "PIN")]
)
def test_no_secret_has_the_name_of_a_variable_that_is_there_anyway(
    tmp_path: Path, name: str, variable: str
) -> None:
    exported = write(tmp_path, f"{name} = 's3cret'\napp.config['X'] = {name}")
    assert exported.secrets == {variable: "s3cret"}


def test_a_key_under_the_name_of_a_servers_setting_has_another(tmp_path: Path) -> None:
    exported = write(tmp_path, f"bind = '{TOKEN}'\napp.config['X'] = bind")
    assert exported.secrets == {"APP_BIND": TOKEN}


@pytest.mark.parametrize(
    "code",
    [
        f"app.config['X'] = '{TOKEN}'",
        f"CLIENT = ['{TOKEN}']\napp.config['X'] = CLIENT",
        "app.config['X'] = '-----BEGIN RSA PRIVATE KEY-----\\nabc'",
    ],
)
def test_what_looks_like_a_key_is_one_whatever_its_name(tmp_path: Path, code: str) -> None:
    exported = write(tmp_path, code)
    assert len(exported.secrets) == 1
    assert TOKEN.encode() not in everything_in(tmp_path / "out")
    assert b"PRIVATE KEY" not in everything_in(tmp_path / "out")


@pytest.mark.parametrize(
    "value",
    [
        "os.urandom(24)",
        "os.urandom(24).hex()",
        "secrets.token_hex()",
        "uuid.uuid4().hex",
        "str(uuid.uuid4())",
        "os.getenv('X') or secrets.token_hex()",
        "''.join(secrets.choice('abc') for _ in range(9))",
    ],
)
def test_a_random_key_is_the_same_for_all_workers(tmp_path: Path, value: str) -> None:
    exported = write(tmp_path, f"import secrets, uuid\napp.secret_key = {value}")
    assert 'os.environ["SECRET_KEY"]' in (tmp_path / "out" / "app.py").read_text()
    assert len(exported.secrets["SECRET_KEY"]) >= 32


@pytest.mark.parametrize(
    "code",
    [
        "def reset():\n    token = secrets.token_urlsafe(32)\n    return token",
        "def login():\n    session_token = str(uuid.uuid4())\n    return session_token",
        "def login():\n    session['csrf_token'] = os.urandom(9).hex()",
        "def invite():\n    return dict(token=secrets.token_hex())",
        "def check(hashes):\n    password = pick(hashes, secrets.token_hex())",
        "invite = lambda: dict(token=secrets.token_hex())",
        "class A:\n    token: str = field(default_factory=lambda: uuid.uuid4().hex)",
        "users = [dict(token=secrets.token_hex()) for _ in range(3)]",
        "token = sign(secrets.token_hex())",
    ],
)
def test_what_is_made_at_random_each_time_stays(tmp_path: Path, code: str) -> None:
    found = re.match(r"(?:def |class )?(\w+)", code)
    assert found is not None
    names = "from dataclasses import field\nfrom flask import session\npick = sign = print\n"
    exported = write(
        tmp_path, f"import secrets, uuid\n{names}", code, f"app.extensions['x'] = {found[1]}"
    )
    assert exported.secrets == {}
    assert code in (tmp_path / "out" / "app.py").read_text()


def test_two_secrets_of_one_name_get_two_variables(tmp_path: Path) -> None:
    exported = write(
        tmp_path,
        "app.config.update(a=dict(password='one'), b=dict(password='two'), c=dict(password='one'))",
    )
    assert exported.secrets == {"PASSWORD": "one", "PASSWORD_2": "two"}


@pytest.mark.parametrize(
    "code",
    [
        "app.config['SESSION_COOKIE_NAME'] = 'shop'",
        "app.config['SESSION_TYPE'] = 'filesystem'",
        "app.config['PASSWORD_MIN_LENGTH'] = 12",
        "app.config['TOKEN_URL'] = 'https://login.example/token'",
        "app.config['WTF_CSRF_ENABLED'] = True",
        "app.config['SECRET_KEY'] = ''",
        "app.config['AUTHOR'] = 'Ada'",
        "app.config['PASSWORD_ATTEMPTS'] = 5000",
        "app.config['X'] = [token == '(' for token in 'ab']",
        "app.config['TOKEN'] = 0",
        "app.config['CSS'] = 'sk-folding-cube-container-of-dots'",
        "app.config['URL'] = 'https://example.com/a@b'",
        "@app.route('/')\ndef home():\n    token = request.args.get('token')\n    return token",
        "errors = {}\nerrors['password'] = 'Password is required'\napp.config['X'] = errors",
        "app.config['X'] = {'token': 'Token', 'password': 'Your password'}",
        "app.pad_token = '<pad>'",
        "app.config['X'] = [token in ('and', 'or') for token in 'ab']",
        "app.config['X'] = '<a href=\"https://x.example/?token=abc\">in</a>'",
        "app.eos_token = 'END'",
        "TOKEN_RE = '[a-z]+'\napp.config['X'] = TOKEN_RE",
        "x = 'a'\ntoken = '{}-{}'.format(x, x)\napp.config['X'] = token",
        "x = 'a'\ntoken = '%s:%s' % (x, x)\napp.config['X'] = token",
        "x = 'a'\napp.config['X'] = {'Authorization': f'Bearer {x}'}",
        "x = 'a'\napp.config['X'] = {'Authorization': 'Bearer ' + x}",
        "app.config['X'] = 'select * from users where password=secret'",
        "app.config['X'] = '<input type=text name=password>'",
        "app.config['X'] = 'https://example.com/?page=2&sort=name'",
        "app.config['X'] = 'git+https://git@example.com/x'",
    ],
)
def test_settings_that_are_no_secrets_stay(tmp_path: Path, code: str) -> None:
    exported = write(tmp_path, code)
    assert exported.secrets == {}
    assert code.splitlines()[-1] in (tmp_path / "out" / "app.py").read_text()
    assert not (tmp_path / "out" / ".env.example").exists()


def test_secrets_in_comments_and_modules_are_taken_out_too(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text('"""Help."""\nPASSWORD = "s3"  # password = "s3"\n')
    exported = write(
        tmp_path,
        "from helpers import PASSWORD\n# app.secret_key = 's3'\napp.config['X'] = PASSWORD",
    )
    assert exported.secrets == {"PASSWORD": "s3"}
    assert b"s3" not in everything_in(tmp_path / "out")
    text = (tmp_path / "out" / "helpers.py").read_text()
    assert text.startswith('"""Help."""\nimport os\nPASSWORD = os.environ["PASSWORD"]  # password')


def test_private_files_beside_the_notebook_stay_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=s3")
    (tmp_path / "static").mkdir()
    for name in (".htpasswd", "key.pem", "server.key"):
        (tmp_path / "static" / name).write_text("s3")
    (tmp_path / "static" / "id_rsa").write_text("-----BEGIN PRIVATE KEY-----\ns3")
    (tmp_path / "static" / "link.txt").symlink_to("/etc/hostname")
    exported = write(tmp_path)
    assert b"s3" not in everything_in(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("static/*")] == []
    assert any("static/link.txt" in note for note in exported.notes)


def test_a_template_with_what_looks_like_a_key_is_told(tmp_path: Path) -> None:
    exported = write(tmp_path, f"%%template a.html\n<script>key = '{TOKEN}'</script>")
    note = "Something in these looks like a secret: templates/a.html."
    assert note in exported.notes


def test_copied_files_with_what_may_be_a_secret_are_told(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    for name, text in {
        "creds.json": '{"user": "ada", "password": "s3cret"}',
        "settings.ini": "[db]\npassword = s3cret\n",
        "form.html": '<input name="password" type="password">',
        "shop.db": "",
        "data.bin": "SQLite format 3\0",
    }.items():
        (tmp_path / "static" / name).write_text(text)
    exported = write(
        tmp_path,
        '%%writefile config.json\n{"password": "s3cret"}',
        "app.config['X'] = open('config.json').read()",
    )
    names = "static/creds.json, static/settings.ini, config.json"
    assert f"Something in these looks like a secret: {names}." in exported.notes
    assert "Copied with all that is in them: static/data.bin, static/shop.db." in exported.notes
    assert "`static/shop.db`" in (tmp_path / "out" / "README.md").read_text()


def test_a_private_file_of_a_cell_is_not_copied(tmp_path: Path) -> None:
    exported = write(tmp_path, "%%writefile .env\nA=s3cret", "app.config['X'] = open('.env')")
    assert b"s3cret" not in everything_in(tmp_path / "out")
    assert "Not copied: .env." in exported.notes


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("!curl -u ada:s3cret http://x/", "!curl …"),
        ("!PGPASSWORD=s3cret psql", "! …"),
        ("!mysql\t-ps3cret", "!mysql …"),
        ("%sql postgresql://ada:s3cret@db/x", "%sql …"),
        ("%%sql\nalter user ada password 's3cret'", "%%sql …"),
        ("%%bash\nexport TOKEN=s3cret", "%%bash …"),
        ("%sx login s3cret", "%sx …"),
    ],
)
def test_what_a_command_is_given_is_in_no_file_and_no_note(
    tmp_path: Path, cell: str, name: str
) -> None:
    exported = write(tmp_path, cell)
    assert b"s3cret" not in everything_in(tmp_path / "out")
    assert not any("s3cret" in note for note in exported.notes)
    assert any(f"run it: {name} (cell 2)" in note for note in exported.notes)


def test_a_refusal_does_not_say_what_a_command_is_given(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as raised:
        write(tmp_path, "# get it\nx = !curl -u ada:s3cret http://x/\napp.config['X'] = x")
    assert "s3cret" not in str(raised.value)


def test_comments_are_searched_however_lines_are_broken(tmp_path: Path) -> None:
    write(tmp_path, "x = '\u2028'  # \u2028 password = 's3'\r\napp.config['X'] = x # pwd='s3'")
    assert b"s3" not in everything_in(tmp_path / "out")


def test_a_password_inside_an_f_string_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Cell 2 .* has a password or a key in an f-string"):
        write(tmp_path, "host = 'db'\napp.config['DB'] = f'mysql://ada:s3@{host}/x'")
    with pytest.raises(ExportError, match=r"Cell 2 .* has a password or a key in an f-string"):
        write(tmp_path, "app.config['X'] = f'{dict(password=\"s3cret\")}'")


def test_a_random_key_does_not_take_the_place_of_a_literal_one(tmp_path: Path) -> None:
    exported = write(
        tmp_path, "app.secret_key = 's3cret'\napp.config['SECRET_KEY'] = os.urandom(9)"
    )
    assert exported.secrets == {"SECRET_KEY": "s3cret"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SECRET_KEY", True),
        ("dbPassword", True),
        ("api_key", True),
        ("pin", True),
        ("SESSION_TOKEN", True),
        ("session", False),
        ("SESSION_COOKIE_PATH", False),
        ("password_file", False),
        ("author", False),
    ],
)
def test_a_name_tells_a_secret_from_a_setting(name: str, expected: bool) -> None:
    assert is_credential(name) is expected
