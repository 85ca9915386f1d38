"""The mount record: names, files, and who holds a name."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_flaskserve import records
from jupyter_flaskserve.records import MalformedRecord, MountRecord, NameTaken
from jupyter_flaskserve.server.registry import sweep

SERVER = "0123456789abcdef"

names = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
text = st.text(max_size=30)
any_records = st.builds(
    MountRecord,
    name=names,
    server=text,
    kernel_id=text,
    pid=st.integers(),
    generation=text,
    socket=st.binary(max_size=30).map(lambda path: "/" + os.fsdecode(path.replace(b"\0", b""))),
    threads=st.integers(1, 100_000),
    title=text,
    notebook=text,
    started=st.floats(0, 4e9),
    revision=st.integers(0),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of the test's own."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def new_record(runtime_dir: Path) -> Callable[..., MountRecord]:
    """Makes records of this process, each with a generation and a socket path of its own."""

    def new(**changes: Any) -> MountRecord:
        generation = os.urandom(8).hex()
        values = {
            "name": "demo",
            "server": SERVER,
            "kernel_id": "k-1",
            "pid": os.getpid(),
            "generation": generation,
            "socket": str(records.socket_path(generation)),
            "threads": 64,
            "title": "app",
            "notebook": "Lesson 1.ipynb",
            "started": 1_790_000_000.5,
        }
        return MountRecord(**{**values, **changes})

    return new


LISTENER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def listening_process(path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that listens at a socket, as the kernel of a mount does."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def listening_here(path: str) -> Iterator[None]:
    """A socket of this process that listens."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        yield


# Names


@pytest.mark.parametrize("name", ["a", "7", "demo", "lesson-2", "a--b", "x" * 63, "0-0"])
def test_a_dns_label_in_lower_case_is_a_name(name: str) -> None:
    assert records.is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "-", "-a", "a-", "Demo", "a.b", "a_b", "a b", "x" * 64, "é", "a\n", "..", "a/b", "٣", "K"],
)
def test_anything_else_is_not_a_name(name: str) -> None:
    assert not records.is_name(name)


@given(st.one_of(st.text(), names, st.text("abc-_ .ÄK0", max_size=80)))
@example("-" * 80)
@example("a" * 62 + "--b")
@example("İ")
def test_a_label_is_a_name_or_nothing(text: str) -> None:
    label = records.label(text)
    assert label == "" or records.is_name(label)


@given(names)
def test_the_label_of_a_name_without_double_hyphens_is_the_name(name: str) -> None:
    assert records.label(name) == re.sub("-+", "-", name)


@given(st.text(st.characters(exclude_categories=["L", "N"])))
def test_text_without_letters_and_digits_has_no_label(text: str) -> None:
    assert records.label(text) == ""


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Lesson 2", "lesson-2"),
        ("  My_App!! (final) ", "my-app-final"),
        ("übung", "bung"),
        ("x" * 62 + " yz", "x" * 62),
        ("日本語", ""),
    ],
)
def test_a_label_keeps_the_letters_and_digits(text: str, label: str) -> None:
    assert records.label(text) == label


# The text of a record


@given(any_records)
def test_a_record_comes_back_from_its_text(record: MountRecord) -> None:
    assert MountRecord.from_json(record.to_json()) == record
    assert MountRecord.from_json(record.to_json().encode()) == record


def test_fields_of_a_later_version_are_read_over(new_record: Callable[..., MountRecord]) -> None:
    record = new_record()
    data = {**json.loads(record.to_json()), "alias": "demo.localhost"}
    assert MountRecord.from_json(json.dumps(data)) == record


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 100_000)
@example(b'{"format": 1' + b"0" * 10_000 + b"}")
def test_arbitrary_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedRecord):
        MountRecord.from_json(data)


@given(json_values)
def test_arbitrary_json_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        MountRecord.from_json(json.dumps(value))


@given(any_records, st.sampled_from([f.name for f in dataclasses.fields(MountRecord)][:10]))
def test_a_record_without_one_of_its_fields_is_malformed(record: MountRecord, field: str) -> None:
    data = json.loads(record.to_json())
    del data[field]
    with pytest.raises(MalformedRecord, match=field):
        MountRecord.from_json(json.dumps(data))


@given(any_records)
def test_a_record_from_before_there_were_revisions_is_read(record: MountRecord) -> None:
    data = json.loads(record.to_json())
    del data["revision"]
    assert MountRecord.from_json(json.dumps(data)) == dataclasses.replace(record, revision=0)


@given(
    any_records,
    st.sampled_from([field.name for field in dataclasses.fields(MountRecord)]),
    st.data(),
)
def test_a_field_of_another_type_is_malformed(
    record: MountRecord, field: str, data: st.DataObject
) -> None:
    whole = dict.fromkeys(("pid", "threads", "revision"), (int,))
    fitting = {**whole, "started": (int, float)}.get(field, (str,))
    value = data.draw(
        json_values.filter(lambda value: isinstance(value, bool) or not isinstance(value, fitting))
    )
    with pytest.raises(MalformedRecord, match=field):
        MountRecord.from_json(json.dumps({**json.loads(record.to_json()), field: value}))


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": "1"},
        {"format": None},
        {"name": "Demo"},
        {"name": "../../etc/passwd"},
        {"name": ""},
        {"threads": 0},
        {"threads": -1},
        {"threads": 100_001},
        {"socket": "relative.sock"},
        {"socket": ""},
        {"socket": "/a\0b"},
        {"socket": "/\ud800"},
        {"started": float("nan")},
        {"started": float("inf")},
        {"started": 10**400},
        {"started": -1e300},
    ],
    ids=str,
)
def test_a_value_no_kernel_writes_is_malformed(
    change: dict[str, Any], new_record: Callable[..., MountRecord]
) -> None:
    with pytest.raises(MalformedRecord):
        MountRecord.from_json(json.dumps({**json.loads(new_record().to_json()), **change}))


# The file of a record


def test_a_claimed_record_is_read_back(new_record: Callable[..., MountRecord]) -> None:
    record = new_record()
    records.claim(record)
    assert records.read(records.record_path(SERVER, "demo")) == record


def test_the_directory_is_the_users_and_the_file_too(
    new_record: Callable[..., MountRecord], runtime_dir: Path
) -> None:
    old = os.umask(0)
    try:
        records.claim(new_record())
    finally:
        os.umask(old)
    directory = runtime_dir / "flaskserve"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}
    assert files == {f"{SERVER}-demo.json": 0o600, ".lock": 0o600}


def test_a_directory_others_may_enter_is_closed_to_them(runtime_dir: Path) -> None:
    directory = runtime_dir / "flaskserve"
    directory.mkdir()
    directory.chmod(0o777)
    assert records.open_private_directory(directory) == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_of_another_user_is_refused(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = records.open_private_directory(runtime_dir / "flaskserve")
    monkeypatch.setattr(os, "getuid", lambda: directory.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="flaskserve"):
        records.open_private_directory(directory)


def test_a_link_in_place_of_the_directory_is_refused(runtime_dir: Path) -> None:
    (runtime_dir / "elsewhere").mkdir()
    link = runtime_dir / "flaskserve"
    link.symlink_to(runtime_dir / "elsewhere")
    with pytest.raises(PermissionError):
        records.open_private_directory(link)


def test_a_record_of_another_user_is_malformed(
    new_record: Callable[..., MountRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    records.claim(new_record())
    path = records.record_path(SERVER, "demo")
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(MalformedRecord, match="another user"):
        records.read(path)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_record_others_may_write_is_malformed(
    mode: int, new_record: Callable[..., MountRecord]
) -> None:
    records.claim(new_record())
    path = records.record_path(SERVER, "demo")
    path.chmod(mode)
    with pytest.raises(MalformedRecord, match="another user"):
        records.read(path)


def test_a_file_that_is_far_too_long_is_malformed(new_record: Callable[..., MountRecord]) -> None:
    record = new_record(title="x" * 70_000)
    records.claim(record)
    with pytest.raises(MalformedRecord, match="longer"):
        records.read(records.record_path(SERVER, "demo"))


def test_a_pipe_in_the_place_of_a_record_is_malformed_and_nobody_waits_for_it(
    new_record: Callable[..., MountRecord],
) -> None:
    records.open_private_directory(records.records_directory())
    path = records.record_path(SERVER, "demo")
    os.mkfifo(path, 0o600)
    # In a process of its own, which can be stopped where it waits.
    code = (
        f"from pathlib import Path; from jupyter_flaskserve import records;"
        f" records.read(Path({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=5)
    assert "MalformedRecord" in done.stderr


def test_a_record_that_is_not_there_is_said_so(runtime_dir: Path) -> None:
    with pytest.raises(FileNotFoundError):
        records.read(records.record_path(SERVER, "demo"))


@pytest.mark.parametrize("server", ["", "../0123456789", "0123456", "XYZ", "0" * 65, "01234567\n"])
def test_only_a_hexadecimal_word_is_a_servers_id(server: str) -> None:
    with pytest.raises(ValueError, match="server"):
        records.record_path(server, "demo")


# Who holds a name


def test_a_name_that_a_live_process_holds_is_taken(
    new_record: Callable[..., MountRecord],
) -> None:
    first = new_record(notebook="Lesson 1.ipynb")
    with listening_process(first.socket) as holder:
        first = dataclasses.replace(first, pid=holder.pid)
        records.claim(first)
        with pytest.raises(NameTaken) as caught:
            records.claim(new_record())
        assert caught.value.record == first
        assert records.read(records.record_path(SERVER, "demo")) == first


def test_a_name_is_free_again_when_its_holder_was_killed(
    new_record: Callable[..., MountRecord],
) -> None:
    first = new_record()
    with listening_process(first.socket) as holder:
        first = dataclasses.replace(first, pid=holder.pid)
        records.claim(first)
        assert records.is_live(first)
        holder.kill()
        holder.wait()
    assert Path(first.socket).exists(), "a killed process leaves its socket behind"
    assert not records.is_live(first)
    second = new_record()
    records.claim(second)
    assert records.read(records.record_path(SERVER, "demo")) == second


def test_a_process_that_is_stopped_still_holds_its_name(
    new_record: Callable[..., MountRecord],
) -> None:
    first = new_record()
    with listening_process(first.socket) as holder:
        first = dataclasses.replace(first, pid=holder.pid)
        records.claim(first)
        os.kill(holder.pid, 19)
        with pytest.raises(NameTaken):
            records.claim(new_record())


def test_a_process_may_replace_its_own_record(new_record: Callable[..., MountRecord]) -> None:
    first, second = new_record(), new_record()
    records.claim(first)
    with listening_here(first.socket):
        records.claim(second)
    assert records.read(records.record_path(SERVER, "demo")) == second


def test_a_malformed_record_does_not_hold_a_name(new_record: Callable[..., MountRecord]) -> None:
    record = new_record()
    records.open_private_directory(records.records_directory())
    records.record_path(SERVER, "demo").write_text("{")
    records.claim(record)
    assert records.read(records.record_path(SERVER, "demo")) == record


def test_a_record_whose_socket_nobody_could_listen_at_does_not_hold_a_name(
    new_record: Callable[..., MountRecord],
) -> None:
    records.claim(new_record(pid=1, socket="/" + "x" * 300))
    record = new_record()
    records.claim(record)
    assert records.read(records.record_path(SERVER, "demo")) == record


def test_one_name_is_held_once_in_each_server(new_record: Callable[..., MountRecord]) -> None:
    first, second = new_record(pid=1), new_record(server="fedcba9876543210")
    with listening_here(first.socket), listening_here(second.socket):
        records.claim(first)
        records.claim(second)
    assert records.read(records.record_path(first.server, "demo")) == first
    assert records.read(records.record_path(second.server, "demo")) == second


def test_a_failed_claim_leaves_no_file_behind(
    new_record: Callable[..., MountRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    record = new_record()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        records.claim(record)
    assert [file.name for file in records.records_directory().iterdir()] == [".lock"]


RACER = """
import os, socket, sys, time
from jupyter_flaskserve import records
record = records.MountRecord(
    name="demo", server="0123456789abcdef", kernel_id="k", pid=os.getpid(), generation=sys.argv[1],
    socket=str(records.socket_path(sys.argv[1])), threads=1, title="app", notebook="", started=0.0,
)
listener = socket.socket(socket.AF_UNIX)
listener.bind(record.socket)
listener.listen()
print("ready", flush=True)
for line in sys.stdin:
    start = float(line)
    while time.time() < start:
        pass
    try:
        records.claim(record)
    except records.NameTaken as taken:
        print("taken by", taken.record.generation, flush=True)
    else:
        print("claimed", flush=True)
    if sys.stdin.readline():
        records.release(record)
        listener.close()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(record.socket)
        listener.listen()
        print("released", flush=True)
"""


def test_of_two_processes_that_race_for_a_name_one_gets_it(runtime_dir: Path) -> None:
    generations = ("aaaaaaaa", "bbbbbbbb")
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACER, generation],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                )
            )
            for generation in generations
        ]
        for racer in racers:
            stack.callback(racer.kill)

        def tell(word: str) -> list[str]:
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(word + "\n")
            return [answer(racer) for racer in racers]

        def answer(racer: subprocess.Popen[str]) -> str:
            assert racer.stdout is not None
            return racer.stdout.readline().rstrip("\n")

        assert [answer(racer) for racer in racers] == ["ready", "ready"]
        for _ in range(30):
            answers = tell(str(time.time() + 0.01))
            assert answers.count("claimed") == 1
            winner = generations[answers.index("claimed")]
            assert f"taken by {winner}" in answers
            assert records.read(records.record_path(SERVER, "demo")).generation == winner
            assert tell("release") == ["released", "released"]
            assert not records.record_path(SERVER, "demo").exists()


def test_what_died_on_this_machine_is_swept_and_nothing_of_another_machine(
    new_record: Callable[..., MountRecord],
) -> None:
    """Two machines may share a home directory, and neither can ask who lives on the other."""
    here = new_record(name="here", host=records.this_host())
    there = new_record(name="there", host=f"not-{records.this_host()}")
    unknown = new_record(name="unknown")
    for record in (here, there, unknown):
        records.claim(record)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(record.socket)
    sweep()
    assert {record.name for record in records.read_all()} == {"there", "unknown"}
    assert not Path(here.socket).exists()
    assert Path(there.socket).exists()


def test_what_lives_on_this_machine_is_not_swept(new_record: Callable[..., MountRecord]) -> None:
    record = new_record(host=records.this_host())
    records.claim(record)
    with listening_here(record.socket):
        sweep()
        assert records.holds_name(record)


def test_a_record_of_another_machine_does_not_hold_its_name_on_this_one(
    new_record: Callable[..., MountRecord],
) -> None:
    """A server serves the kernels of its own machine only, so nothing is taken from anybody."""
    there = new_record(host=f"not-{records.this_host()}", pid=os.getpid() + 1)
    records.claim(there)
    here = new_record(host=records.this_host())
    records.claim(here)
    assert records.holds_name(here)
    assert not records.holds_name(there)


def test_a_released_mount_leaves_no_record_and_no_socket(
    new_record: Callable[..., MountRecord],
) -> None:
    record = new_record()
    with listening_here(record.socket):
        records.claim(record)
        records.release(record)
    assert not records.record_path(SERVER, "demo").exists()
    assert not Path(record.socket).exists()


def test_releasing_leaves_the_record_of_another_generation(
    new_record: Callable[..., MountRecord],
) -> None:
    first, second = new_record(), new_record()
    records.claim(first)
    with listening_here(second.socket):
        records.claim(second)
        records.release(first)
        assert records.read(records.record_path(SERVER, "demo")) == second
        assert records.is_live(second)


def test_releasing_twice_is_harmless(new_record: Callable[..., MountRecord]) -> None:
    record = new_record()
    records.claim(record)
    records.release(record)
    records.release(record)
    assert not records.record_path(SERVER, "demo").exists()


def test_releasing_when_the_runtime_directory_is_gone_is_harmless(
    new_record: Callable[..., MountRecord], runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = new_record()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime_dir / "gone"))
    records.release(record)
    assert not (runtime_dir / "gone").exists()


def test_releasing_removes_nothing_but_a_socket(
    new_record: Callable[..., MountRecord], tmp_path: Path
) -> None:
    """A record that names another file must not cost the user that file."""
    precious = tmp_path / "precious.txt"
    precious.write_text("a year's work")
    record = new_record(socket=str(precious))
    records.claim(record)
    records.release(record)
    assert precious.exists()


# The path of a socket


def test_the_socket_is_beside_the_records(runtime_dir: Path) -> None:
    path = records.socket_path("0123abcd")
    assert path == runtime_dir / "flaskserve" / "0123abcd.sock"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_in_a_long_runtime_directory_the_socket_moves_to_a_private_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_record: Callable[..., MountRecord]
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / ("long" * 30)))
    path = records.socket_path("0123abcd")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    record = new_record(generation="0123abcd", socket=str(path))
    with listening_here(record.socket):
        records.claim(record)
        assert records.is_live(record)
        records.release(record)
    assert not path.parent.exists(), "the temporary directory goes with the mount"
    assert not records.record_path(SERVER, "demo").exists()
