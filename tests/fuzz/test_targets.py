"""A bounded number of runs of each target of :mod:`targets`, where atheris is installed.

It is not among the tests' requirements, as there are wheels of it for few systems: ``pip install
atheris`` on Linux.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNS = 20_000


@pytest.mark.parametrize("target", ["records", "parameters", "head", "mount_record"])
def test_a_fuzzer_finds_nothing(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: pip install atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    program = Path(__file__).with_name("targets.py")
    command = [sys.executable, str(program), target, f"-runs={RUNS}", "-max_total_time=60"]
    done = subprocess.run(
        [*command, "-max_len=600", str(corpus)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert f"Done {RUNS} runs" in done.stderr
