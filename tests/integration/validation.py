"""``wsgiref.validate`` between the server's side and every app that the kernels run.

A startup file of IPython puts it there, so that mounts, apps and cells stay what they are. What is
checked is the server's side: between the validator and the app sits an adapter for what apps do
and the validator does not know. Findings are written to files, since what a validator raises ends
as one more 500 that a test may expect.

This module runs on both sides: :class:`Validation` in the tests, :func:`install` in the kernels.
"""

from __future__ import annotations

import contextlib
import os
import wsgiref.validate
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

MODULE = "wsgi_validation"  # the name it has in the kernels

_STARTUP = """
def _validate_apps():
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location({module!r}, {file!r})
    module = sys.modules[{module!r}] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install({directory!r})

_validate_apps()
del _validate_apps
"""


class Validation:
    """The validators of all kernels, and what they have found.

    :param directory: an empty directory for what they write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}  # how much of each file has been taken
        for name in ("findings", "requests"):
            (directory / name).mkdir()

    def prepare(self, ipython_directory: Path) -> None:
        """Make the kernels validate that have this for their ``IPYTHONDIR``."""
        startup = ipython_directory / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00-validate.py").write_text(
            _STARTUP.format(module=MODULE, file=__file__, directory=str(self._directory))
        )

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """No request is validated that begins meanwhile."""
        switch = self._directory / "off"
        switch.touch()
        yield
        switch.unlink()

    def take(self) -> str:
        """What has been found since this was called last."""
        found = []
        for path in sorted((self._directory / "findings").iterdir()):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                found.append(file.read().decode())
                self._read[path] = file.tell()
        return "".join(found)

    @property
    def requests(self) -> int:
        """How many requests have been validated."""
        return sum(path.stat().st_size for path in (self._directory / "requests").iterdir())


def install(directory: str) -> None:
    """Validate the apps of this process, and write to the directory what is found."""
    from jupyter_flaskserve import fastcgi
    from jupyter_flaskserve.kernel.responder.wsgi import Transaction

    pid = os.getpid()
    mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    findings = os.open(f"{directory}/findings/{pid}", mode, 0o600)
    requests = os.open(f"{directory}/requests/{pid}", mode, 0o600)
    switch = f"{directory}/off"
    upgrade = fastcgi.UPGRADE_PARAM.decode()
    run = Transaction.run

    def validating_run(self: Transaction, app: Callable[..., Iterable[bytes]]) -> None:
        if not os.path.exists(switch):
            with contextlib.suppress(OSError):  # a test may leave no room in files
                os.write(requests, b".")
            app = check_environ_for(app) if upgrade in self._environ else validator_for(app)
        run(self, app)

    def report(finding: str) -> None:
        os.write(findings, f"{finding}\n".encode())

    def check(condition: object, *words: object) -> None:
        if not condition:
            report(" ".join(map(str, words)) or "an assertion without words")
            raise AssertionError(*words)

    def check_string(value: object, title: str) -> object:
        check(type(value) is str, f"{title} must be of type str (got {value!r})")
        return value

    def warn(words: str, category: object = None) -> None:
        # A method may be any token (RFC 9110, section 9.1); the validator knows eight.
        if not words.startswith("Unknown REQUEST_METHOD"):
            report(words)

    validate: Any = wsgiref.validate
    validate.assert_ = check
    validate.check_string_type = check_string
    validate.warnings = type("Warnings", (), {"warn": staticmethod(warn)})
    # It wants a Content-Type of every response, where RFC 9110 (section 8.3) leaves it to the app.
    validate.check_content_type = lambda status, headers: None
    Transaction.run = validating_run  # type: ignore[method-assign]


def validator_for(app: Callable[..., Iterable[bytes]]) -> Any:
    """The app inside an adapter inside a validator."""

    def adapted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"] = _Input(environ["wsgi.input"])
        return app(environ, start_response)

    return wsgiref.validate.validator(adapted)


def check_environ_for(app: Callable[..., Iterable[bytes]]) -> Any:
    """The app of a request for a WebSocket, which need not call ``start_response``."""

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        wsgiref.validate.check_environ(environ)  # type: ignore[attr-defined]
        return app(environ, start_response)

    return checked


class _Input:
    """``wsgi.input`` for apps that read without a size, as Werkzeug does. The validator's own wants
    a size each time."""

    def __init__(self, validated: Any) -> None:
        self._validated = validated
        self.readline = validated.readline
        self.readlines = validated.readlines

    def read(self, size: int | None = -1) -> bytes:
        data: bytes = self._validated.read(-1 if size is None else size)
        return data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._validated)
