"""Where the registrations of a Flask app or blueprint come from: which cell added which.

Flask keeps what is registered in plain containers: dicts, lists, and the URL map. A
:class:`Ledger` looks at them between cells. What is new since the last look belongs to the cell
that ran; when that cell is run again, it is withdrawn first, as though it had never been there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from werkzeug.routing import Map, Rule

__all__ = [
    "APP",
    "BLUEPRINT",
    "HOOKS",
    "Entry",
    "Ledger",
    "Owner",
    "copied_map",
    "names_alike",
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


class Ledger:
    """The registrations of one app or blueprint, and who added each.

    :param subject: the app or blueprint.
    :param shapes: :data:`APP` or :data:`BLUEPRINT`.
    """

    def __init__(self, subject: Any, shapes: dict[str, Shape]) -> None:
        self.subject = subject
        self._shapes = shapes
        self._entries: dict[tuple[Any, ...], Entry] = {}
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
                entry.replaced = held.get(entry.place)
                known = entry
            self._entries[entry.identity] = known
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

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Take entries out of the app, as though they had never been there."""
        entries = list(entries)
        rules = {id(entry.value) for entry in entries if entry.place[0] == _URL_MAP}
        if rules:
            self.drop_rules(rules)
        for entry in entries:
            if entry.place[0] != _URL_MAP:
                self._withdraw(entry)
            self._entries.pop(entry.identity, None)

    def rules_in_order(self) -> list[Entry]:
        """The entries of the rules, in the order in which they are matched."""
        entries = (self._entries.get((_URL_MAP, id(rule))) for rule in self._rules())
        return [entry for entry in entries if entry is not None]

    def put_back(self, entries: Iterable[Entry], order: Iterable[Entry]) -> None:
        """Put entries that were withdrawn back, unless something has taken their place.

        :param order: what :meth:`rules_in_order` returned before they were withdrawn.
        """
        taken = set()  # endpoints that have another view function by now
        rules = []
        for entry in entries:
            if entry.place[0] == _URL_MAP:
                rules.append(entry)
            elif self._is_free(entry):
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
        if rules:
            places = {id(entry.value): place for place, entry in enumerate(order)}
            self._arrange(sorted(self._rules(), key=lambda rule: places.get(id(rule), -1)))

    def drop_rules(self, rules: set[int]) -> None:
        """Take rules out of the app's URL map.

        :param rules: the ids of the rules.
        """
        self._arrange([rule for rule in self._rules() if id(rule) not in rules])

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

    def _container(self, name: str) -> Any:
        first, _, attribute = name.partition(".")
        value = vars(self.subject).get(first)
        return getattr(value, attribute) if attribute and value is not None else value

    def _rules(self) -> list[Rule]:
        url_map: Map | None = self._container(_URL_MAP)
        return [] if url_map is None else list(url_map.iter_rules())

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
            for key in path:
                target = target.get(key, ())
            if target:
                target[:] = [value for value in target if value is not entry.value]
            return
        for key in path[:-1]:
            target = target.get(key, {})
        if target.get(path[-1]) is entry.value:
            del target[path[-1]]
            if entry.replaced is not None and name in _GIVES_BACK:
                self._add(entry.replaced)

    def _is_free(self, entry: Entry) -> bool:
        name, *path = entry.place
        if name == _WSGI_APP:
            return name not in vars(self.subject)
        target = self._container(name)
        if target is None:
            return False
        for key in path if entry.in_list else path[:-1]:
            target = target[key]
        if entry.in_list:
            return not any(names_alike(value, entry.value) for value in target)
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
    name = getattr(one, "__qualname__", "<")
    return (
        "<" not in name
        and name == getattr(other, "__qualname__", None)
        and getattr(one, "__module__", None) == getattr(other, "__module__", None) == "__main__"
    )


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
