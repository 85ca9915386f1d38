"""Where the registrations of a Flask app or blueprint come from: which cell added which.

Flask keeps what is registered in plain containers: dicts, lists, and the URL map. A
:class:`Ledger` looks at them between cells. What is new since the last look belongs to the cell
that ran; when that cell is run again, it is withdrawn first, as though it had never been there.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import FunctionType
from typing import Any, NamedTuple, Protocol

from werkzeug.routing import Map, Rule

__all__ = [
    "APP",
    "BLUEPRINT",
    "HOOKS",
    "Arrangement",
    "Entry",
    "Ledger",
    "Owner",
    "copied_map",
    "names_alike",
    "shape_of",
]


class Shape(NamedTuple):
    """How a container is built: so many levels of dicts, and in the last one values or lists."""

    levels: int
    lists: bool = False


# The lists of functions by blueprint's name, ``None`` for the app's own.
HOOKS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "template_context_processors",
    "url_value_preprocessors",
    "url_default_functions",
)

_SCAFFOLD = {
    "view_functions": Shape(1),
    "error_handler_spec": Shape(3),
    "cli.commands": Shape(1),
    **{name: Shape(1, lists=True) for name in HOOKS},
}

#: The containers of an app, beside its URL map.
APP = {
    **_SCAFFOLD,
    "teardown_appcontext_funcs": Shape(0, lists=True),
    "shell_context_processors": Shape(0, lists=True),
    "url_build_error_handlers": Shape(0, lists=True),
    "blueprints": Shape(1),
    "extensions": Shape(1),
    "jinja_env.filters": Shape(1),
    "jinja_env.tests": Shape(1),
    "jinja_env.globals": Shape(1),
}

#: The containers of a blueprint.
BLUEPRINT = {
    **_SCAFFOLD,
    "deferred_functions": Shape(0, lists=True),
    "_blueprints": Shape(0, lists=True),
}

# Where a value that took another one's place gives it back when it is withdrawn.
_GIVES_BACK = {"error_handler_spec", "jinja_env.filters", "jinja_env.tests", "jinja_env.globals"}

_URL_MAP, _WSGI_APP = "url_map", "wsgi_app"


class Owner(Protocol):
    """Who added an entry: the run of a cell, or a blueprint's registration in one."""

    @property
    def key(self) -> object: ...
    @property
    def run(self) -> object: ...


class Entry:
    """One thing that was registered.

    :ivar place: the container's name, and the keys that lead to the value or its list.
    :ivar value: a function, a rule, a blueprint.
    :ivar owner: who added it; ``None`` where that is not known.
    :ivar replaced: the entry whose place it took.
    """

    def __init__(self, place: tuple[Any, ...], value: Any, in_list: bool) -> None:
        self.place = place
        self.value = value
        self.in_list = in_list
        self.owner: Owner | None = None
        self.replaced: Entry | None = None

    @property
    def identity(self) -> tuple[Any, ...]:
        return (*self.place, id(self.value))


class Seam:
    """A WSGI app between two layers of middleware, so that the lower one can be taken out.

    :ivar inner: the layer below.
    """

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner = inner

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.inner(environ, start_response)


class RuleIndex:
    """Entries of rules by their endpoints, and by their shapes: the rules without the names of
    their variables."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.by_endpoint: dict[str, list[Entry]] = {}
        self.by_shape: dict[str, list[Entry]] = {}
        for entry in entries:
            self.by_endpoint.setdefault(entry.value.endpoint, []).append(entry)
            self.by_shape.setdefault(shape_of(entry.value.rule), []).append(entry)


def shape_of(rule: str) -> str:
    """A rule without the names of its variables."""
    return _VARIABLE.sub(r"\1>", rule)


_VARIABLE = re.compile(r"(<(?:[^<>:]*:)?)[^<>:]*>")

Arrangement = dict[tuple[Any, ...], dict[Hashable, int]]
"""For the place of each list, and for the URL map, the positions of what is in it."""


class Ledger:
    """The registrations of one app or blueprint, and who added each.

    :param subject: the app or blueprint.
    :param shapes: :data:`APP` or :data:`BLUEPRINT`.
    :param made_in: the run of the cell that made it, where that is known.
    """

    def __init__(self, subject: Any, shapes: dict[str, Shape], made_in: Owner | None) -> None:
        self.subject = subject
        self.made_in = made_in
        self._shapes = shapes
        self._entries: dict[tuple[Any, ...], Entry] = {}
        self._index: RuleIndex | None = None  # made when it is needed
        self._seams: weakref.WeakSet[Seam] = weakref.WeakSet()
        self._doomed: set[int] = set()  # ids of rules that are withdrawn but still in the URL map
        self.settle(None)

    def settle(self, owner: Owner | None) -> bool:
        """Take stock: what is new belongs to ``owner``.

        :returns: whether anything is new.
        """
        before = self._entries
        held = {entry.place: entry for entry in before.values() if not entry.in_list}
        self._entries = {}
        new = False
        for entry in self._found():
            known = before.get(entry.identity)
            if known is None:
                new = True
                entry.owner = owner
                entry.replaced = _other_cells(held.get(entry.place), owner)
                known = entry
            self._entries[entry.identity] = known
        self._index = None
        return new

    def take_for_granted(self, container: str, values: dict[Any, Any]) -> None:
        """Note what a container will hold from its beginning, which no cell has added."""
        for key, value in values.items():
            entry = Entry((container, key), value, False)
            self._entries.setdefault(entry.identity, entry)

    def owned(self, key: object) -> list[Entry]:
        """What a cell has added."""
        return [
            entry
            for entry in self._entries.values()
            if entry.owner is not None and entry.owner.key == key
        ]

    def added_by(self, owner: Owner) -> list[Entry]:
        """What an owner has added."""
        return [entry for entry in self._entries.values() if entry.owner is owner]

    def entries(self, container: str | None = None) -> list[Entry]:
        """What was there at the last look, in one container or all of them."""
        return [
            entry
            for entry in self._entries.values()
            if container is None or entry.place[0] == container
        ]

    @property
    def rules(self) -> RuleIndex:
        """The entries of rules, to look them up by."""
        if self._index is None:
            self._index = RuleIndex(self.entries(_URL_MAP))
        return self._index

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Take entries out of the app, as though they had never been there. Its URL map is made
        anew for that by :meth:`sweep`, once for many rules."""
        for entry in list(entries):
            if entry.place[0] == _URL_MAP:
                self._doomed.add(id(entry.value))
            else:
                self._withdraw(entry)
            self._entries.pop(entry.identity, None)

    def forget(self, key: object) -> None:
        """Do not let what a cell has added come back when something else is withdrawn."""
        for entry in self._entries.values():
            while (
                entry.replaced is not None
                and entry.replaced.owner is not None
                and entry.replaced.owner.key == key
            ):
                if entry.place[0] == _WSGI_APP:
                    self._bypass(entry.replaced)
                entry.replaced = entry.replaced.replaced

    def seam(self, middleware: Callable[..., Any]) -> Seam:
        """What a cell is given to wrap where it reads ``app.wsgi_app``."""
        seam = Seam(middleware)
        self._seams.add(seam)
        return seam

    def _bypass(self, layer: Entry) -> None:
        """Take a layer of middleware out from under those of other cells."""
        below = layer.replaced.value if layer.replaced is not None else None
        for seam in self._seams:
            if seam.inner is layer.value:
                seam.inner = below or self.subject.plain_wsgi_app

    def sweep(self) -> None:
        """Make the URL map anew without the rules that were withdrawn, if there are any."""
        if self._doomed:
            self._arrange(self._rules())

    def arrangement(self) -> Arrangement:
        """The order of all rules and of the functions in all lists."""
        order: Arrangement = {}
        for entry in self._found():
            if entry.in_list:
                place = order.setdefault(entry.place, {})
                place.setdefault(_order_key(entry), len(place))
        return order

    def rearrange(self, order: Arrangement) -> None:
        """Put everything into the order that it had. Rules that were not there come first, because
        what was run last holds; functions come last."""
        for entry_place, positions in order.items():
            if entry_place == (_URL_MAP,):
                rules = self._rules()
                arranged = sorted(rules, key=lambda r: positions.get(_identity_of(r), -1))
                if any(one is not other for one, other in zip(rules, arranged, strict=True)):
                    self._arrange(arranged)
            else:
                target = self._list_at(entry_place)
                if target:
                    target.sort(key=lambda value: positions.get(id(value), len(positions)))

    def put_back(self, entries: Iterable[Entry], order: Arrangement) -> None:
        """Put entries that were withdrawn back, unless something has taken their place.

        :param order: what :meth:`arrangement` returned before they were withdrawn.
        """
        self.sweep()
        entries = list(entries)
        fresh = {entry.place: list(self._list_at(entry.place)) for entry in entries}
        taken = set()  # endpoints that have another view function by now
        rules = []
        for entry in entries:
            if entry.place[0] == _URL_MAP:
                rules.append(entry)
            elif self._is_free(entry, fresh[entry.place]):
                self._add(entry)
            elif entry.place[0] == "view_functions":
                taken.add(entry.place[1])
        present = {_identity_of(rule) for rule in self._rules()}
        for entry in rules:
            rule: Rule = entry.value
            if rule.endpoint not in taken and _identity_of(rule) not in present:
                entry.value = _unbound(rule)
                self._container(_URL_MAP).add(entry.value)
                self._entries[entry.identity] = entry
        self._index = None
        self.rearrange(order)

    def put_rules_last(self, rules: set[int]) -> None:
        """Let all other rules of the app's URL map match before these.

        :param rules: the ids of the rules.
        """
        self._arrange(sorted(self._rules(), key=lambda rule: id(rule) in rules))

    def _arrange(self, rules: list[Rule]) -> None:
        """Make the app's URL map anew with some of its rules, in another order."""
        renewed, copies = copied_map(self._container(_URL_MAP), rules)
        vars(self.subject)[_URL_MAP] = renewed
        for rule, copy in zip(rules, copies, strict=True):
            entry = self._entries.pop((_URL_MAP, id(rule)), None)
            if entry is not None:
                entry.value = copy
                self._entries[entry.identity] = entry
        self._doomed.clear()
        self._index = None

    def _list_at(self, place: tuple[Any, ...]) -> list[Any]:
        """The list of a place; an empty one where there is none."""
        name, *path = place
        if name in (_URL_MAP, _WSGI_APP) or not self._shapes[name].lists:
            return []
        target = self._container(name)
        for key in path:
            target = target.get(key, [])
        return target  # type: ignore[no-any-return]

    def _container(self, name: str) -> Any:
        first, _, attribute = name.partition(".")
        value = vars(self.subject).get(first)
        return getattr(value, attribute) if attribute and value is not None else value

    def _rules(self) -> list[Rule]:
        url_map: Map | None = self._container(_URL_MAP)
        if url_map is None:
            return []
        return [rule for rule in url_map.iter_rules() if id(rule) not in self._doomed]

    def _found(self) -> Iterator[Entry]:
        for name, shape in self._shapes.items():
            container = self._container(name)
            if container is not None:
                for path, value in _leaves(container, shape, ()):
                    yield Entry((name, *path), value, shape.lists)
        for rule in self._rules():
            yield Entry((_URL_MAP,), rule, True)
        middleware = self._container(_WSGI_APP)
        if middleware is not None:
            yield Entry((_WSGI_APP,), middleware, False)

    def _withdraw(self, entry: Entry) -> None:
        name, *path = entry.place
        if name == _WSGI_APP:
            if vars(self.subject).get(name) is entry.value:
                del vars(self.subject)[name]
                if entry.replaced is not None:
                    self._add(entry.replaced)
            return
        target = self._container(name)
        if entry.in_list:
            values = self._list_at(entry.place)
            values[:] = [value for value in values if value is not entry.value]
            return
        for key in path[:-1]:
            target = target.get(key, {})
        if target.get(path[-1]) is entry.value:
            del target[path[-1]]
            if entry.replaced is not None and name in _GIVES_BACK:
                self._add(entry.replaced)

    def _is_free(self, entry: Entry, fresh: list[Any]) -> bool:
        """Whether nothing has taken an entry's place.

        :param fresh: what is in its list now, where it has one.
        """
        name, *path = entry.place
        if name == _WSGI_APP:
            return name not in vars(self.subject)
        target = self._container(name)
        if target is None:
            return False
        if entry.in_list:
            return not any(names_alike(value, entry.value) for value in fresh)
        for key in path[:-1]:
            target = target[key]
        return path[-1] not in target

    def _add(self, entry: Entry) -> None:
        name, *path = entry.place
        if name == _WSGI_APP:
            vars(self.subject)[name] = entry.value
        else:
            target = self._container(name)
            for key in path if entry.in_list else path[:-1]:
                target = target[key]
            if entry.in_list:
                target.append(entry.value)
            else:
                target[path[-1]] = entry.value
        self._entries[entry.identity] = entry


def names_alike(one: object, other: object) -> bool:
    """Whether two functions of the notebook have one name, so that the later one takes the
    earlier one's place among the notebook's variables."""
    return (
        isinstance(one, FunctionType)
        and isinstance(other, FunctionType)
        and "<" not in one.__qualname__
        and one.__qualname__ == other.__qualname__
        and one.__module__ == other.__module__ == "__main__"
    )


def _other_cells(entry: Entry | None, owner: Owner | None) -> Entry | None:
    """What comes back when an owner's entry is withdrawn: the latest of other cells, and what was
    there before any cell."""
    if entry is None or entry.owner is None:
        return entry
    if owner is not None and entry.owner.key == owner.key:
        return _other_cells(entry.replaced, owner)
    first = entry
    while first.replaced is not None:
        first = first.replaced
    entry.replaced = first if first is not entry and first.owner is None else None
    return entry


def _order_key(entry: Entry) -> Hashable:
    if entry.place[0] == _URL_MAP:
        return _identity_of(entry.value)
    return id(entry.value)


def copied_map(original: Map, rules: Iterable[Rule]) -> tuple[Map, list[Rule]]:
    """A URL map with the settings of another one and copies of some of its rules."""
    copy = type(original)(
        default_subdomain=original.default_subdomain,
        strict_slashes=original.strict_slashes,
        merge_slashes=original.merge_slashes,
        redirect_defaults=original.redirect_defaults,
        sort_parameters=original.sort_parameters,
        sort_key=original.sort_key,
        host_matching=original.host_matching,
    )
    copy.converters = dict(original.converters)
    copies = [_unbound(rule) for rule in rules]
    for rule in copies:
        copy.add(rule)
    return copy, copies


def _identity_of(rule: Rule) -> tuple[Any, ...]:
    return rule.rule, rule.endpoint, rule.host, rule.subdomain, frozenset(rule.methods or ())


def _unbound(rule: Rule) -> Rule:
    """A copy of a rule that belongs to no map yet."""
    copy = rule.empty()
    copy.websocket = rule.websocket
    copy.merge_slashes = rule.merge_slashes
    for name, value in vars(rule).items():
        if not name.startswith("_") and name not in vars(copy):
            setattr(copy, name, value)  # such as Flask's provide_automatic_options
    return copy


def _leaves(container: Any, shape: Shape, path: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    if shape.levels:
        for key, value in list(container.items()):
            yield from _leaves(value, shape._replace(levels=shape.levels - 1), (*path, key))
    elif shape.lists:
        for value in list(container):
            yield path, value
    else:
        yield path, container
