"""Links that take turns: which worker answers which request, and that none waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fastcgi_clients import (
    SECONDS,
    Client,
    Environ,
    Serve,
    Served,
    StartResponse,
    head,
    request,
    stdin,
    wait_until,
)

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.kernel.responder import turns

LINKS = 7  # one less than threads


class Views:
    """An app whose paths say what is done: ``/`` answers, the others wait.

    :ivar workers: the thread that answered each request, by its path.
    """

    def __init__(self) -> None:
        self.workers: list[tuple[str, int]] = []
        self.barrier = threading.Barrier(LINKS)
        self.go_on = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.workers.append((path, threading.get_ident()))
        if path == "/together":
            self.barrier.wait(SECONDS)
        elif path == "/wait":
            assert self.go_on.wait(SECONDS)
        elif path == "/sleep":
            time.sleep(0.005)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [path.encode()]

    def workers_of(self, path: str) -> set[int]:
        return {worker for asked, worker in self.workers if asked == path}


@pytest.fixture
def views() -> Iterator[Views]:
    views = Views()
    yield views
    views.go_on.set()


def ask_all(clients: list[Client], path: str = "/") -> list[bytes]:
    """Send a request over each link, and then read all the answers."""
    for client in clients:
        client.send(request(path=path))
    return [client.read().body for client in clients]


def park(served: Served, clients: list[Client], views: Views) -> None:
    """Have the links parked: on each a request runs while another begins."""
    for client in clients:
        client.send(request(path="/wait"))
    wait_until(lambda: len(views.workers_of("/wait")) == len(clients))
    another = served.connect()
    another.ask()
    another.close()
    views.go_on.set()
    assert [client.read().body for client in clients] == [b"/wait"] * len(clients)
    wait_until(lambda: len(parked(served)) == len(clients))
    wait_until(lambda: len(workers()) == len(clients))
    views.workers.clear()
    views.go_on.clear()


def parked(served: Served) -> list[object]:
    selector = served.responder._turns._selector
    return [key.data for key in (selector.get_map() or {}).values()]


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "test worker" in thread.name]


@pytest.fixture
def served(serve: Serve, views: Views) -> Served:
    return serve(views)


@pytest.fixture
def clients(served: Served, views: Views) -> list[Client]:
    """Clients whose links are parked."""
    clients = [served.connect() for _ in range(LINKS)]
    park(served, clients, views)
    return clients


def test_one_worker_answers_many_links_in_turn(
    clients: list[Client], views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_MOMENT", SECONDS)  # however slow the machine is
    monkeypatch.setattr(turns, "_LEAST_BUSY", 0.0)
    time.sleep(0.05)
    views.workers.clear()
    for _ in range(20):
        assert ask_all(clients) == [b"/"] * LINKS
    assert len(views.workers) == 20 * LINKS
    assert len(views.workers_of("/")) == 1


def test_a_request_that_waits_keeps_no_other_waiting(clients: list[Client], views: Views) -> None:
    clients[0].send(request(path="/wait"))
    wait_until(lambda: views.workers_of("/wait"))
    assert ask_all(clients[1:]) == [b"/"] * (LINKS - 1)
    views.go_on.set()
    assert clients[0].read().body == b"/wait"


def test_all_links_may_wait_at_once(clients: list[Client], views: Views) -> None:
    assert ask_all(clients, "/together") == [b"/together"] * LINKS
    views.go_on.set()
    assert ask_all(clients, "/wait") == [b"/wait"] * LINKS


def test_what_waits_while_it_is_answered_gets_its_own_workers(
    served: Served, clients: list[Client], views: Views
) -> None:
    """Views that wait 5 ms are too short for the deputy: the leader itself sees that they wait."""
    for _ in range(4):
        ask_all(clients, "/sleep")
    assert parked(served) == []
    views.workers.clear()
    ask_all(clients, "/sleep")
    assert len(views.workers_of("/sleep")) == LINKS


def test_links_are_parked_again_after_a_while(
    served: Served, clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_APART", 0.05)
    served.responder._turns._apart = 0.05
    for _ in range(4):
        ask_all(clients, "/sleep")
    assert parked(served) == []
    time.sleep(0.1)
    wait_until(lambda: ask_all(clients) and len(parked(served)) == LINKS)


def test_a_link_is_held_again_where_requests_come_one_at_a_time(
    served: Served, clients: list[Client]
) -> None:
    for _ in range(turns._ALONE + 1):
        clients[0].ask()
    assert len(parked(served)) == LINKS - 1
    assert clients[0].ask().body == b"/"
    assert ask_all(clients) == [b"/"] * LINKS


def test_a_link_that_is_alone_is_never_parked(serve: Serve, views: Views) -> None:
    served = serve(views)
    client = served.connect()
    for _ in range(5):
        client.ask()
    assert parked(served) == []


def test_parked_links_that_end_take_their_workers_along(
    served: Served, clients: list[Client]
) -> None:
    assert len(workers()) == LINKS
    for client in clients:
        client.close()
    wait_until(lambda: not workers())
    assert parked(served) == []
    assert served.connect().ask().body == b"/"


def test_a_link_that_ends_in_the_middle_of_a_turn_ends_alone(
    clients: list[Client], views: Views
) -> None:
    clients[0].send(head("POST", "/", {"CONTENT_LENGTH": "9"})[:-20])
    time.sleep(0.05)
    clients[0].close()
    clients[1].send(b"no FastCGI")
    assert clients[1].is_closed()
    assert ask_all(clients[2:]) == [b"/"] * (LINKS - 2)


def test_a_body_that_nobody_reads_keeps_no_other_link_waiting(clients: list[Client]) -> None:
    clients[0].send(head("POST", "/", {"CONTENT_LENGTH": "9"}), stdin(b"not all"))
    assert clients[0].read().body == b"/"
    assert ask_all(clients[1:]) == [b"/"] * (LINKS - 1)
    clients[0].send(stdin(b"of"), stdin(), request())
    assert clients[0].read().body == b"/"


def test_a_request_behind_another_on_a_parked_link_is_answered(clients: list[Client]) -> None:
    first, second = request(path="/first"), request(path="/second")
    clients[0].send(first, second)
    assert clients[0].read().body == b"/first"
    assert clients[0].read().body == b"/second"
    cut = len(second) // 2  # and where it has come in part
    clients[0].send(first, second[:cut])
    assert clients[0].read().body == b"/first"
    assert ask_all(clients[1:]) == [b"/"] * (LINKS - 1)
    clients[0].send(second[cut:])
    assert clients[0].read().body == b"/second"


def test_a_stop_declines_what_parked_links_have_been_sent(
    served: Served, clients: list[Client], views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_MOMENT", SECONDS)  # so that the leader keeps the lead
    time.sleep(0.05)
    clients[0].send(request(path="/wait"))
    wait_until(lambda: views.workers_of("/wait"))
    clients[1].send(request())
    served.responder.stop()
    views.go_on.set()
    assert clients[0].read().body == b"/wait"
    assert clients[1].read().protocol_status == fastcgi.OVERLOADED
    for client in clients:
        assert client.is_closed()
    wait_until(lambda: not workers())


def test_nothing_is_lost_in_any_mixture(serve: Serve, views: Views) -> None:
    """Threads ask as they like, for what waits and for what does not, and leave in between."""
    served = serve(views)
    answered = []

    def ask(number: int) -> None:
        with ExitStack() as stack:
            for turn in range(60):
                if turn % 20 == 0:
                    client = served.connect()
                    stack.callback(client.close)
                path = "/sleep" if (turn + number) % 7 == 0 else f"/{number}-{turn}"
                assert client.ask(path=path).body == path.encode()
                answered.append(path)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(answered) == 6 * 60


def test_the_deputy_sleeps_while_there_are_no_requests_and_wakes_for_them(
    served: Served, clients: list[Client], views: Views
) -> None:
    wait_until(lambda: served.responder._turns._deputy_sleeps)
    clients[0].send(request(path="/wait"))
    wait_until(lambda: views.workers_of("/wait"))
    assert ask_all(clients[1:]) == [b"/"] * (LINKS - 1)


def test_where_no_selector_sees_what_is_added_no_link_is_parked(
    serve: Serve, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_FIT", ())
    served = serve(views)
    clients = [served.connect() for _ in range(LINKS)]
    for _ in range(3):
        assert ask_all(clients, "/together") == [b"/together"] * LINKS
    assert parked(served) == []


def test_who_has_lost_the_lead_keeps_a_link_that_has_not_settled(
    served: Served, clients: list[Client], views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deputy may take the lead just when the request ends: what is behind it on the link has
    been received, so no selector would tell of it."""
    turns_of = served.responder._turns
    monkeypatch.setattr(turns, "_MOMENT", SECONDS)
    time.sleep(0.05)  # until the deputy waits for that long
    clients[0].send(request(path="/wait"), request(path="/second"))
    wait_until(lambda: views.workers_of("/wait"))
    with turns_of._lock:
        views.go_on.set()
        assert clients[0].read().body == b"/wait"
        time.sleep(0.05)  # until its worker waits for the lock
        assert turns_of._current is not None
        turns_of._resign(turns_of._current)
    assert clients[0].read().body == b"/second"
    assert ask_all(clients[1:]) == [b"/"] * (LINKS - 1)


def test_a_link_that_cannot_be_parked_is_held(
    serve: Serve, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    served = serve(views)
    monkeypatch.setattr(served.responder._turns._selector, "register", refuse)
    clients = [served.connect() for _ in range(LINKS)]
    for _ in range(3):
        assert ask_all(clients, "/together") == [b"/together"] * LINKS
