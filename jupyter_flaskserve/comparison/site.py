"""What all contenders are given: the app, how probes reach what stands around it, and files."""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import observed
from .certificate import Certificate, NoCertificate, make_certificate
from .observed import Observed
from .processes import Workshop
from .project import Folders, NotExported, WriteProject

__all__ = ["MODULE", "WORKERS", "WORKER_THREADS", "Site", "make_site", "render"]

WORKERS = 2
"""How many processes run the app, where a contender can have several."""

WORKER_THREADS = 4
"""How many requests each of them answers at once."""

MODULE = "flaskserve_app"

_MARKER_SIZE = 16 * 1024  # characters


@dataclass(frozen=True)
class Site:
    """One app in a workshop.

    :ivar workshop: where servers run.
    :ivar app: the app itself, in this process.
    :ivar project: the directory with the exported app and, in :data:`MODULE`, the observed one;
        ``None`` where it cannot be exported.
    :ivar project_error: why it cannot.
    :ivar environment: variables that the exported app needs. They may be secret.
    :ivar prefix: the path below which :mod:`.observed` answers.
    :ivar key: what a request has to show to reach the app.
    :ivar notes: the directory in which it notes what it sees.
    :ivar marker: the name of a file among the app's static ones, made for the probe.
    :ivar marker_text: what it holds.
    :ivar static: the directory of the app's static files.
    :ivar static_url: the path below which they are asked for, with a slash at its end; empty where
        the app has none of which a server can be told.
    :ivar certificate: a certificate for servers that can use one.
    :ivar certificate_error: why there is none.
    """

    workshop: Workshop
    app: Any
    project: Path | None
    project_error: str
    environment: dict[str, str] = field(repr=False)
    prefix: str
    key: str = field(repr=False)
    notes: Path
    marker: str
    marker_text: str
    static: Path
    static_url: str
    certificate: Certificate | None
    certificate_error: str

    @property
    def observed(self) -> Observed:
        """The app, observed, in this process."""
        return self.around(self.app)

    @property
    def settings(self) -> dict[str, str]:
        """What an :class:`Observed` is given beside its app. There are secrets in it."""
        return {
            "prefix": self.prefix,
            "notes": str(self.notes),
            "marker": self.marker,
            "key": self.key,
        }

    def around(self, app: Any) -> Observed:
        return Observed(app, **self.settings)

    def renewed(self) -> Site:
        """The same with another prefix and key, for the next contender: whoever has got hold of
        those of one, because it took the port of a server, has nothing of them there."""
        site = replace(self, prefix=_prefix(), key=_key())
        if site.project is not None:
            _write_settings(site.workshop, site.project, site.settings)
        return site

    @property
    def project_directory(self) -> Path:
        """
        :raises NotExported: there is none.
        """
        if self.project is None:
            raise NotExported(self.project_error)
        return self.project


def make_site(workshop: Workshop, app: Any, write_project: WriteProject) -> Site:
    """Lay out what servers need."""
    marker = f"probe-{secrets.token_hex(6)}.txt"
    text = secrets.token_hex(_MARKER_SIZE // 2)
    notes = workshop.make("notes", writable=True)
    project = workshop.directory / "project"
    environment: dict[str, str] = {}
    folders: Folders | None = None
    error = ""
    try:
        environment, folders = write_project(project)
        _add_observed(workshop, project)
    except NotExported as no:
        error = str(no)
    static = project / (folders.static or "") if folders is not None else workshop.directory
    if folders is not None:
        _add_marker(workshop, project, static / marker, text)
    try:
        certificate, certificate_error = make_certificate(workshop.directory), ""
    except NoCertificate as no:
        certificate, certificate_error = None, str(no)
    site = Site(
        workshop=workshop,
        app=app,
        project=None if error else project,
        project_error=error,
        environment=environment,
        prefix="",
        key="",
        notes=notes,
        marker=marker,
        marker_text=text,
        static=static,
        static_url="" if folders is None else f"{folders.static_url.rstrip('/')}/",
        certificate=certificate,
        certificate_error=certificate_error,
    )
    return site.renewed()


def _prefix() -> str:
    return f"/probe-{secrets.token_hex(12)}/"


def _key() -> str:
    return secrets.token_hex(16)


_OBSERVED_APP = '''\
"""The exported app, observed."""

import json
from pathlib import Path

import wsgi
from flaskserve_observed import Observed

_app = getattr(wsgi, "application", None) or wsgi.app
application = Observed(_app, **json.loads(Path(__file__).with_suffix(".json").read_text()))
'''


def _add_observed(workshop: Workshop, project: Path) -> None:
    shutil.copy(observed.__file__, project / "flaskserve_observed.py")
    (project / f"{MODULE}.py").write_text(_OBSERVED_APP)
    for path in (project, *project.rglob("*")):
        if not path.is_symlink():
            workshop.share(path)


def _add_marker(workshop: Workshop, project: Path, path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    workshop.share(path)
    for folder in path.relative_to(project).parents:
        workshop.share(project / folder)


def _write_settings(workshop: Workshop, project: Path, settings: dict[str, str]) -> None:
    path = project / f"{MODULE}.json"
    path.write_text(json.dumps(settings))
    workshop.share(path)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "configurations"),
        autoescape=False,  # noqa: S701  these are no pages
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: object) -> str:
    """A configuration, without the empty lines that its conditions leave."""
    text = _templates().get_template(f"{template}.j2").render(**values)
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip() or (lines and lines[-1].strip()):
            lines.append(line.rstrip())
    return "\n".join(lines).strip("\n") + "\n"
