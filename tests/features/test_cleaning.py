"""Leftovers of the cache: older digests and dead partial files are removed, and nothing that is in use."""

import os
import subprocess
import sys
import time

import pytest

from features.checksums import checksum, seal, unseal
from features.cleaning import OLDER, PARTIAL, UNKNOWN, leftovers
from features.writing import partial_of

COMPUTED = ("features", "outcomes", "analyses")


def staged(cache, shop, digest, age):
    folder = cache / shop / digest
    folder.mkdir(parents=True)
    (folder / "transactions.parquet").write_bytes(b"x" * 1000)
    (folder / "manifest.json").write_text(seal({"digest": digest, "checksums": {}}))
    os.utime(folder / "manifest.json", (time.time() - age,) * 2)
    for kind in COMPUTED:
        (cache / kind / digest / "abc").mkdir(parents=True)
        (cache / kind / digest / "abc" / "2020-01-01.parquet").write_bytes(b"y" * 10)
    return folder


def test_of_each_shop_the_tables_used_last_stay_with_their_features(tmp_path):
    old, new, other = (staged(tmp_path, *each) for each in (("a", "0" * 16, 9), ("a", "1" * 16, 1), ("b", "2" * 16, 5)))
    damaged = staged(tmp_path, "a", "3" * 16, 0)
    (damaged / "manifest.json").write_text((damaged / "manifest.json").read_text().replace("3", "4"))
    (reading := tmp_path / "a" / "database" / ("5" * 16)).mkdir(parents=True)
    (reading / "manifest.json").write_text("{}")
    found = leftovers(tmp_path)
    gone = [tmp_path / kind / (digest * 16) for kind in COMPUTED for digest in "03"]
    assert {each.path: each.why for each in found} == {old: OLDER, damaged: OLDER, **dict.fromkeys(gone, UNKNOWN)}
    assert {each.path: each.size for each in found}[gone[0]] == 10
    assert all(each.remove() for each in found)
    assert leftovers(tmp_path) == []
    assert all(path.exists() for path in (new, other, reading, tmp_path / "features" / ("1" * 16)))


def test_what_another_process_has_open_stays(tmp_path):
    old, _ = staged(tmp_path, "a", "0" * 16, 9), staged(tmp_path, "a", "1" * 16, 1)
    script = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); sys.stdin.read()"
    )
    before = leftovers(tmp_path)
    command = [sys.executable, "-c", script, str(old / "manifest.json")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        assert leftovers(tmp_path) == []
        assert not next(each for each in before if each.path == old).remove()
        assert (old / "transactions.parquet").exists()
    finally:
        holder.communicate()
    assert old in [each.path for each in leftovers(tmp_path)]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.quick(1)
def test_what_a_cleaning_that_was_killed_left_is_found_again(tmp_path, at):
    for digest, age in ("0", 9), ("1", 1):
        staged(tmp_path, "a", digest * 16, age)
    script = (
        "import itertools, os, sys; from pathlib import Path; from features.cleaning import leftovers\n"
        "removals = itertools.count(1)\n"
        "def kill(event, _):\n"
        "    if event in ('os.remove', 'os.rmdir') and next(removals) == int(sys.argv[2]): os.kill(os.getpid(), 9)\n"
        "sys.addaudithook(kill)\n"
        "for each in leftovers(Path(sys.argv[1])): each.remove()"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path), str(at)], check=False).returncode == -9
    assert all(each.remove() for each in leftovers(tmp_path))
    left = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {(folder, "1" * 16) for folder in ("a", *COMPUTED)}


def test_partial_files_go_when_their_process_is_gone(tmp_path):
    alive = partial_of(tmp_path / "x.parquet")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = alive.with_name(alive.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
    foreign, old = tmp_path / ".x.0123.partial", tmp_path / ".y.0123.partial"
    for path in (alive, dead, foreign, old):
        path.mkdir()
        (path / ".z.partial").touch()
    for path in (old / ".z.partial", old):
        os.utime(path, (0, 0))
    assert {each.path: each.why for each in leftovers(tmp_path)} == {dead: PARTIAL, old: PARTIAL}


def test_a_changed_text_or_file_has_another_checksum(tmp_path):
    text = seal({"rows": {"transactions": 5}})
    assert unseal(text) == {"rows": {"transactions": 5}}
    with pytest.raises(ValueError, match="changed"):
        unseal(text.replace("5", "6", 1))
    (file := tmp_path / "part-0.parquet").write_bytes(b"12")
    (tmp_path / "_SUCCESS").touch()
    before = checksum(file), checksum(tmp_path)
    (tmp_path / "_SUCCESS").write_text("x")
    assert (checksum(file), checksum(tmp_path)) == before
    file.write_bytes(b"13")
    assert checksum(file) != before[0]
    assert checksum(tmp_path) != before[1]
