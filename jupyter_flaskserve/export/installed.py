"""Which installed distributions have some modules, and what those need, with their versions.

It is also run as a program, by the Python of a notebook's kernel: so it stands on the standard
library alone. It then reads two JSON lists, of modules and of distributions, and prints a JSON
object.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from typing import Any

__all__ = ["installed"]

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)([^;]*)(?:;(.*))?", re.DOTALL)


def installed(modules: list[str], distributions: list[str]) -> dict[str, Any]:
    """What is installed of some modules and distributions.

    :param modules: top-level modules.
    :param distributions: distributions that are wanted besides, as far as they are there.
    :returns: ``python``, the version; ``direct``, the versions of the distributions that have the
        modules, by their names; ``indirect``, of those that these need; ``elsewhere``, for those
        that come from no index, where from; ``unknown``, the modules that none has.
    """
    owners = metadata.packages_distributions()
    direct: dict[str, str] = {}
    unknown = []
    for module in modules:
        if module in sys.stdlib_module_names:
            continue
        names = owners.get(module, [])
        for name in names:
            direct[name] = metadata.version(name)
        if not names:
            unknown.append(module)
    for name in distributions:
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        direct.setdefault(found.metadata["Name"], found.version)
    indirect: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    known = {_normal(name) for name in direct}
    waiting = list(direct)
    while waiting:
        name = waiting.pop()
        found = metadata.distribution(name)
        place = _place(found)
        if place:
            elsewhere[name] = place
        for line in found.requires or ():
            match = _NAME.match(line)
            if match is None or "extra" in (match[3] or ""):
                continue
            try:
                other = metadata.distribution(match[1])
            except metadata.PackageNotFoundError:
                continue  # it is for other systems
            if _normal(match[1]) not in known:
                known.add(_normal(match[1]))
                indirect[other.metadata["Name"]] = other.version
                waiting.append(match[1])
    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "direct": direct,
        "indirect": indirect,
        "elsewhere": elsewhere,
        "unknown": unknown,
    }


def _place(found: metadata.Distribution) -> str:
    """Where a distribution comes from that was not installed from an index."""
    text = found.read_text("direct_url.json")
    if text is None:
        return ""
    about = json.loads(text)
    about["url"] = re.sub(r"(?<=^https://)[^/@]*@", "", about["url"])  # somebody's credentials
    version = about.get("vcs_info", {})
    if version:
        return f"{version['vcs']}+{about['url']}@{version['commit_id']}"
    return "" if about["url"].startswith("file:") and "archive_info" in about else str(about["url"])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    print(json.dumps(installed(json.loads(sys.argv[1]), json.loads(sys.argv[2]))))
