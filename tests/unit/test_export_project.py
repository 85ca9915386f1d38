"""The files of a project: what is written, what stays, what is copied, what is required."""

from __future__ import annotations

import ast
import os
import re
import runpy
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from exported_notebooks import quick_metadata
from exported_notebooks import write as write_cells

from jupyter_flaskserve.export import Cell, Exported, ExportError, Notebook, export, read_notebook
from jupyter_flaskserve.export.project import MANIFEST, write_project

__all__ = ["quick_metadata"]  # a fixture

APP = "from flask import Flask\napp = Flask(__name__)"


def write(directory: Path, *cells: str, head: str = APP) -> Exported:
    return write_cells(directory, head, *cells)


# Written again


def test_what_a_person_has_changed_stays_and_the_new_one_is_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "app.config['A'] = 1")
    out = tmp_path / "out"
    mine = (out / "app.py").read_text() + "# mine\n"
    (out / "app.py").write_text(mine)
    exported = write(tmp_path, "app.config['A'] = 2")
    assert (out / "app.py").read_text() == mine
    assert "= 2" in (out / "app.py.new").read_text()
    assert exported.files.kept == ["app.py"]
    assert any("app.py: kept, the new is in app.py.new" in note for note in exported.notes)


def test_what_nobody_has_changed_is_renewed(tmp_path: Path) -> None:
    write(tmp_path, "app.config['A'] = 1")
    exported = write(tmp_path, "app.config['A'] = 2")
    assert exported.files.written == ["app.py"]
    assert "= 2" in (tmp_path / "out" / "app.py").read_text()


def test_written_again_nothing_is_new(tmp_path: Path) -> None:
    write(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    exported = write(tmp_path)
    assert exported.files.written == []
    assert (tmp_path / "out" / "app.py").stat().st_mtime_ns == times[tmp_path / "out" / "app.py"]


def test_when_the_new_one_was_taken_over_it_is_no_longer_beside(tmp_path: Path) -> None:
    write(tmp_path, "app.config['A'] = 1")
    out = tmp_path / "out"
    (out / "app.py").write_text("mine")
    write(tmp_path, "app.config['A'] = 2")
    os.replace(out / "app.py.new", out / "app.py")
    exported = write(tmp_path, "app.config['A'] = 3")
    assert exported.files.kept == []
    assert "= 3" in (out / "app.py").read_text()
    assert not (out / "app.py.new").exists()


def test_a_file_that_was_there_before_is_a_persons(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    exported = write(tmp_path)
    assert exported.files.kept == ["README.md"]
    assert (tmp_path / "out" / "README.md").read_text() == "mine"


def test_a_file_that_was_there_before_is_a_persons_also_where_it_is_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "helper.py").write_text("X = 1\n")
    (tmp_path / "helper.py").write_text("X = 1\n")
    write(tmp_path, "import helper\napp.config['X'] = helper.X")
    write(tmp_path)
    assert (tmp_path / "out" / "helper.py").exists()
    (tmp_path / "helper.py").write_text("X = 2\n")
    exported = write(tmp_path, "import helper\napp.config['X'] = helper.X")
    assert exported.files.kept == ["helper.py"]
    assert (tmp_path / "out" / "helper.py").read_text() == "X = 1\n"


def test_the_notebooks_own_folder_takes_no_project(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "i.html").write_text("mine")
    notebook = Notebook("test", tmp_path, [Cell(1, APP)])
    with pytest.raises(ExportError, match="is the notebook's own folder"):
        export(notebook, tmp_path / "templates" / "..")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["templates"]


def test_a_project_within_a_copied_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    notebook = Notebook("test", tmp_path, [Cell(1, APP)])
    (tmp_path / "static").mkdir()
    out = tmp_path / "static" / "out"
    for _ in range(2):
        export(notebook, out)
    assert (out / "app.py").exists()
    assert not (out / "static").exists()


def test_a_file_is_not_written_over_what_it_is_copied_from(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("X = 1\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "helper.py").symlink_to(tmp_path / "helper.py")
    with pytest.raises(ExportError, match=r"helper.py in .* is one of the files"):
        write(tmp_path, "import helper\napp.config['X'] = helper.X")


def test_work_in_the_file_beside_stays_too(tmp_path: Path) -> None:
    write(tmp_path, "app.config['A'] = 1")
    out = tmp_path / "out"
    (out / "app.py").write_text("mine")
    write(tmp_path, "app.config['A'] = 2")
    (out / "app.py.new").write_text("merging")
    for _ in range(2):
        exported = write(tmp_path, "app.config['A'] = 3")
        assert (out / "app.py").read_text() == "mine"
        assert (out / "app.py.new").read_text() == "merging"
        assert any("changed app.py and app.py.new: both" in note for note in exported.notes)
    (out / "app.py").unlink()
    write(tmp_path, "app.config['A'] = 3")
    assert (out / "app.py.new").read_text() == "merging"


def test_others_may_read_a_project_where_the_processs_mask_lets_them(tmp_path: Path) -> None:
    write_project(tmp_path / "out", {"a": b"a"})
    (tmp_path / "plain").touch()
    modes = [(tmp_path / name).stat().st_mode for name in ("out/a", "plain")]
    assert modes[0] == modes[1]


def test_a_file_that_the_notebook_has_no_more_is_removed_unless_it_was_changed(
    tmp_path: Path,
) -> None:
    write(tmp_path, "%%template a.html\na", "%%template b.html\nb")
    (tmp_path / "out" / "templates" / "b.html").write_text("mine")
    exported = write(tmp_path)
    assert exported.files.removed == ["templates/a.html"]
    assert exported.files.stale == ["templates/b.html"]
    assert (tmp_path / "out" / "templates" / "b.html").read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\x"])
def test_no_file_is_written_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="would be outside"):
        write_project(tmp_path / "out", {name: b"x"})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_links_do_not_lead_a_file_outside(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "static").symlink_to(outside)
    (outside / "victim").write_text("untouched")
    with pytest.raises(ExportError, match="would be outside"):
        write_project(out, {"static/x": b"x"})
    (out / "app.py").symlink_to(outside / "victim")
    write_project(out, {"app.py": b"new"})
    assert (outside / "victim").read_text() == "untouched"
    assert [path.name for path in outside.iterdir()] == ["victim"]


def test_a_manifest_with_names_from_elsewhere_removes_nothing_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "victim").write_text("x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    (out / MANIFEST).write_text(f'{{"../victim": "{digest}"}}')
    with pytest.raises(ExportError, match="would be outside"):
        write_project(out, {"a": b"a"})
    assert (tmp_path / "victim").exists()


def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match="cannot be written"):
        write(tmp_path)


# Copied


def test_templates_static_files_and_modules_are_copied(tmp_path: Path) -> None:
    for name, text in {
        "templates/a/b.html": "beside",
        "static/x.css": "beside",
        "assets/y.js": "beside",
        "helpers.py": "import tools.inner\n",
        "tools/__init__.py": "",
        "tools/inner.py": "import click\n",
        "tools/data.txt": "data",
        "unused.py": "",
        "prices.csv": "a,b",
        "other.csv": "a,b",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    exported = write(
        tmp_path,
        "import helpers\nfrom flask import Blueprint\n"
        "bp = Blueprint('b', __name__, static_folder='assets')\napp.register_blueprint(bp)",
        "@app.route('/')\ndef home():\n    helpers\n    return open('prices.csv').read()",
        "%%template a/c.html\ncell",
        "%%static x.css\ncell",
    )
    out = tmp_path / "out"
    assert (out / "templates/a/b.html").read_text() == "beside"
    assert (out / "templates/a/c.html").read_text() == "cell\n"
    assert (out / "static/x.css").read_text() == "cell\n"  # a cell comes before a file
    assert (out / "assets/y.js").exists()
    assert (out / "helpers.py").exists()
    assert (out / "tools/inner.py").exists()
    assert (out / "tools/data.txt").exists()
    assert not (out / "unused.py").exists()
    assert not (out / "prices.csv").exists()
    assert any("prices.csv" in note for note in exported.notes)
    assert not any("other.csv" in note for note in exported.notes)
    assert re.search(r"^click==", (out / "requirements.txt").read_text(), re.MULTILINE)
    assert "helpers" not in (out / "requirements.txt").read_text()


def test_a_file_that_a_cell_writes_is_copied_where_the_app_needs_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        "%%writefile helpers.py\nWORD = 'a'",
        "%%writefile unused.py\nWORD = 'a'",
        "%%writefile menu.txt\ntea",
        "%%writefile -a menu.txt\ncake",
        "import helpers\napp.config['X'] = helpers.WORD, open('menu.txt')",
    )
    out = tmp_path / "out"
    assert (out / "helpers.py").read_text().strip() == "WORD = 'a'"
    assert (out / "menu.txt").read_text() == "tea\ncake\n"
    assert not (out / "unused.py").exists()


def test_a_module_of_the_name_of_a_projects_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wsgi.py").write_text("x = 1")
    with pytest.raises(ExportError, match=r"the project has a wsgi.py of its own"):
        write(tmp_path, "import wsgi\napp.config['X'] = wsgi.x")


def test_a_cell_that_writes_a_file_of_the_projects_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="A cell writes Dockerfile, and the project has a file"):
        write(tmp_path, "%%writefile Dockerfile\nx", "app.config['X'] = open('Dockerfile')")


def test_folders_of_the_apps_own_are_used(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.html").write_text("a")
    write(
        tmp_path,
        "%%static s.css\nx",
        "%%template t.html\nx",
        head="from flask import Flask\n"
        "app = Flask(__name__, template_folder='pages', static_folder='assets',"
        " static_url_path='/files')",
    )
    out = tmp_path / "out"
    assert (out / "pages" / "a.html").exists()
    assert (out / "pages" / "t.html").exists()
    assert (out / "assets" / "s.css").exists()
    assert "location /files/ {" in (out / "nginx.conf").read_text()
    assert "alias assets/;" in (out / "nginx.conf").read_text()
    assert "^/files/" in (out / "apache.conf").read_text()


@pytest.mark.parametrize(
    "call",
    [
        "Flask(__name__, '/files', 'assets')",
        "Flask(__name__, '/files', 'assets', None, False, False, 'pages')",
    ],
)
def test_folders_that_are_given_without_their_names_are_used(tmp_path: Path, call: str) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.css").write_text("a")
    write(tmp_path, "%%template t.html\nx", head=f"from flask import Flask\napp = {call}")
    out = tmp_path / "out"
    assert (out / "assets" / "a.css").exists()
    assert (out / "pages" / "t.html").exists() is ("pages" in call)
    assert "location /files/ {" in (out / "nginx.conf").read_text()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("static_folder='../assets'", "../assets"),
        ("template_folder='/srv/t'", "/srv/t"),
        ("template_folder=os.path.join('a', 'b')", "os.path.join('a', 'b')"),
    ],
)
def test_folders_that_are_elsewhere_are_told(tmp_path: Path, option: str, said: str) -> None:
    exported = write(
        tmp_path, head=f"import os\nfrom flask import Flask\napp = Flask(__name__, {option})"
    )
    assert f"Not copied: {said}." in exported.notes


def test_a_module_in_another_encoding_stays_in_it(tmp_path: Path) -> None:
    text = "# coding: latin-1\nWORD = 'gr\u00fcn'\n"
    (tmp_path / "words.py").write_bytes(text.encode("latin-1"))
    write(tmp_path, "import words\napp.config['X'] = words.WORD")
    assert (tmp_path / "out" / "words.py").read_bytes() == text.encode("latin-1")


def test_a_module_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_bytes(b"WORD = 'gr\xfcn'\n")
    with pytest.raises(ExportError, match=r"words.py is not text in the encoding .* as UTF-8"):
        write(tmp_path, "import words\napp.config['X'] = words.WORD")


def test_an_app_without_static_files_has_no_place_for_them(tmp_path: Path) -> None:
    write(tmp_path, head="from flask import Flask\napp = Flask(__name__, static_folder=None)")
    assert "/static" not in (tmp_path / "out" / "nginx.conf").read_text()
    assert "/static" not in (tmp_path / "out" / "apache.conf").read_text()


def test_a_template_that_was_removed_is_not_written(tmp_path: Path) -> None:
    write(tmp_path, "%%template a.html\na", "%%template b.html\nb", "%template --remove a.html")
    assert [path.name for path in (tmp_path / "out" / "templates").iterdir()] == ["b.html"]


@pytest.mark.parametrize("name", ['a"""\nimport os', "a\\", '""" + 1', "\n1/0"])
def test_a_notebooks_name_is_no_code(tmp_path: Path, name: str) -> None:
    notebook = Notebook(name, tmp_path, [Cell(1, APP)])
    export(notebook, tmp_path / "out")
    tree = ast.parse((tmp_path / "out" / "app.py").read_text())
    assert [type(node) for node in tree.body] == [ast.Expr, ast.ImportFrom, ast.Assign]


@pytest.mark.parametrize("folder", ["a b", "a;b", "a{b", "a$b", "..", "/etc", "."])
def test_a_folder_of_an_odd_name_is_left_to_the_app(tmp_path: Path, folder: str) -> None:
    head = f"from flask import Flask\napp = Flask(__name__, static_folder={folder!r})"
    write(tmp_path, head=head)
    for name in ("nginx.conf", "apache.conf"):
        text = (tmp_path / "out" / name).read_text()
        assert "Cache-Control" not in text
        assert f"{folder}/ " not in text


@pytest.mark.parametrize(
    "cell",
    [
        "@app.before_request\ndef login():\n    return None",
        "class Login:\n    def __init__(self, app): self.app = app\n"
        "    def __call__(self, *args): return self.app(*args)\napp.wsgi_app = Login(app.wsgi_app)",
        "import guard\nguard.protect(app)",
    ],
)
def test_no_web_server_gives_away_what_a_hook_of_the_app_may_guard(
    tmp_path: Path, cell: str
) -> None:
    (tmp_path / "guard.py").write_text("def protect(app):\n    app.before_request(print)\n")
    write(tmp_path, "%%static report.txt\nx", cell)
    for name in ("nginx.conf", "apache.conf"):
        assert "static/" not in (tmp_path / "out" / name).read_text()
    text = (tmp_path / "out" / "README.md").read_text()
    assert "it serves its\n  static files itself" in text
    write(tmp_path, "%%static report.txt\nx")
    assert "location /static/ {" in (tmp_path / "out" / "nginx.conf").read_text()


# Required


def test_the_versions_in_use_are_required(tmp_path: Path) -> None:
    write(tmp_path, "import jinja2, json\napp.config['X'] = jinja2, json")
    text = (tmp_path / "out" / "requirements.txt").read_text()
    version = metadata.version("flask")
    assert re.search(rf"^Flask=={re.escape(version)}", text, re.MULTILINE)
    direct, _, indirect = text.partition("# What these need.")
    assert re.search(r"^Jinja2==[\d.]+$", direct, re.MULTILINE)
    assert re.search(r"^Werkzeug==[\d.]+$", indirect, re.MULTILINE)
    assert "json" not in text
    assert "ipython" not in text.lower()


def test_what_a_notebook_installs_is_required(tmp_path: Path) -> None:
    write(
        tmp_path,
        "%pip install -q six 'no-such-thing[x]>=1' -r more.txt ./local git+https://u:p@x/y z.whl",
        "!pip install -U brotlicffi",
    )
    names = re.findall(
        r"^[\w-]+", (tmp_path / "out" / "requirements.txt").read_text(), re.MULTILINE
    )
    assert {"six", "no-such-thing", "brotlicffi"} <= set(names)
    assert not {"git", "more", "local", "z", "y"} & set(names)


def test_a_module_that_nobody_has_installed_is_told(tmp_path: Path) -> None:
    exported = write(tmp_path, "import nobody_has_this as n\napp.config['X'] = n")
    assert any("nobody_has_this" in note for note in exported.notes)


# Set up

GUNICORN = [
    ({}, ["TRUSTED_PROXIES=1"]),
    ({"BIND": "unix:/run/app.sock"}, ["TRUSTED_PROXIES=1"]),
    ({"BIND": "0.0.0.0:8000"}, ["TRUSTED_PROXIES=0"]),
    ({"BIND": "0.0.0.0:8000", "TRUSTED_PROXIES": "2"}, None),
]


@pytest.mark.parametrize(("environment", "expected"), GUNICORN)
def test_a_proxy_is_trusted_where_nobody_else_reaches_gunicorn(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: list[str] | None,
) -> None:
    for name in ("BIND", "TRUSTED_PROXIES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write(tmp_path)
    settings = runpy.run_path(str(tmp_path / "out" / "gunicorn.conf.py"))
    assert settings.get("raw_env") == expected


# Read


def test_cells_are_numbered_as_they_run(tmp_path: Path) -> None:
    node = nbformat.v4.new_notebook()
    for source, tags in (("a = 1", []), ("", []), ("b = 1", ["skip-execution"]), ("c = 1", [])):
        node.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    node.cells.insert(1, nbformat.v4.new_markdown_cell("text"))
    nbformat.write(node, tmp_path / "n.ipynb")
    cells = read_notebook(tmp_path / "n.ipynb").cells
    assert [(cell.number, cell.source) for cell in cells] == [(1, "a = 1"), (2, "c = 1")]
