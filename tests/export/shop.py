"""A notebook with a bit of everything, as its cells."""

from __future__ import annotations

from pathlib import Path

from projects import write_notebook

__all__ = ["SECRET", "write_shop"]

SECRET = "not-in-any-file-7f3a"


def write_shop(folder: Path) -> Path:
    """Write the notebook, and the files that are beside it."""
    (folder / "helpers.py").write_text("def shout(text):\n    return text.upper()\n")
    (folder / "templates").mkdir()
    (folder / "templates" / "footer.html").write_text("<footer>bye</footer>\n")
    (folder / "static").mkdir()
    (folder / "static" / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "static" / "data.json").write_text('{"a": 1}')
    (folder / "static" / ".env").write_text(f"SECRET={SECRET}")
    return write_notebook(folder / "shop.ipynb", CELLS)


CELLS = [
    "%load_ext jupyter_flaskserve\n%xmode plain\n!true",
    """
import random, string
from flask import Blueprint, Flask, Response, abort, redirect, render_template, request
from flask import session, stream_with_context, url_for
from flask_sock import Sock
from helpers import shout
""",
    f"""
app = Flask(__name__)
app.secret_key = "{SECRET}"   # the session's key
app.config["TITLE"] = "Shop"
sock = Sock(app)
api = Blueprint("api", __name__, url_prefix="/api")
""",
    "app.register_blueprint(api)",
    """
%%template base.html
<!doctype html><title>{{ config.TITLE }}</title>
<link rel="stylesheet" href="{{ url_for('static', filename='css/style.css') }}">
{% block content %}{% endblock %}
""",
    """
%%template shop/list.html
{% extends "base.html" %}
{% block content %}<ul>{% for item in items %}<li>{{ item|price }}</li>{% endfor %}</ul>
{% include "footer.html" %}{% endblock %}
""",
    "%%static css/style.css\nbody { color: #123456; } /* \u00e9 */\n",
    "prices = {'tea': 3}\nprices['cake'] = 4",
    "for name, price in list(prices.items()):\n    prices[name.upper()] = price",
    """
@app.template_filter("price")
def price(item):
    return f"{item}: {prices[item]}"


@app.route("/")
def home():
    return render_template("shop/list.html", items=sorted(prices))
""",
    """
response = app.test_client().get("/")
print(response.status)
prices
""",
    """
@app.route("/old")
def greet():
    return "replaced"
""",
    """
@app.route("/greet/<name>")  # the second greet
def greet(name):
    # password = "hunter2"
    print("greeting", name)
    return shout(f"hello {name}")
""",
    """
@api.route("/echo", methods=["GET", "POST"])
def echo():
    form, args = request.form.to_dict(), request.args.to_dict()
    return {"form": form, "args": args, "method": request.method}


@api.get("/caf\u00e9/<path:rest>")
def path(rest):
    return rest
""",
    """
@app.route("/login", methods=["POST"])
def login():
    session["user"] = request.form["user"]
    return redirect(url_for("me"))


@app.route("/me")
def me():
    return session.get("user") or abort(401)


@app.route("/visitor")
def visitor():
    return request.remote_addr


@app.route("/absolute")
def absolute():
    return url_for("greet", name="Ada", _external=True)
""",
    """
@app.route("/stream")
def stream():
    def parts():
        for letter in "abc":
            yield letter * 10
    return Response(stream_with_context(parts()), mimetype="text/plain")


@app.route("/slow/<int:seconds>")
def slow(seconds):
    import time

    def parts():
        yield "first\\n"
        time.sleep(seconds)
        yield "last\\n"
    return Response(parts(), mimetype="text/plain")
""",
    """
@app.route("/bytes")
def data():
    return Response(bytes(range(256)) * 400, mimetype="application/octet-stream")


@app.route("/teapot")
def teapot():
    return "short and stout", 418, {"X-Pot": "tea", "Set-Cookie": "a=b; Path=/"}


@app.route("/empty")
def empty():
    return "", 204


@app.route("/fail")
def fail():
    raise RuntimeError("the view failed")


@app.errorhandler(404)
def missing(error):
    return f"nothing at {request.path}", 404


@app.after_request
def stamp(response):
    response.headers["X-Shop"] = app.config["TITLE"]
    return response
""",
    """
@sock.route("/ws")
def echo_socket(ws):
    while True:
        ws.send(ws.receive().upper())
""",
    """
%flaskserve app --name shop
""",
    "%flaskserve request /",
]
