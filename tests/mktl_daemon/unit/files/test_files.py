"""Files are complete or do not exist, whenever the power goes."""

import contextlib
import errno
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import mktl_daemon as mktl
from mktl_daemon import config
from mktl_daemon.files import atomic, cache, environment, places
from mktl_daemon.files.persistent_values import PersistentValues

ARRAYS = [
    (b'{"time":1,"shape":[3],"dtype":"uint8"}', b"abc"),
    (b'{"time":2,"shape":[2,2],"dtype":"uint8"}', b"defg"),
    (b'{"value":5,"time":3}', None),
    (b'{"time":4,"shape":[1],"dtype":"uint8"}', b"h"),
]


class PowerCutError(Exception):
    pass


def loaded(kept):
    """Return the payload without the digest, and the array, of the only value."""
    [(key, payload, bulk)] = kept.load()
    assert key == "image"
    return payload.split(b',"_digest"')[0].rstrip(b"}") + b"}", bulk


@pytest.mark.parametrize("moment", range(12))
def test_after_a_power_cut_the_old_or_the_new_value_is_there(
    community, monkeypatch, moment
):
    """The cut comes before the n-th change of a name on the disk."""
    for before, after in itertools.pairwise(ARRAYS):
        kept = PersistentValues("uuid")
        kept.save("image", *before)
        left = [moment]

        def cut(real, left=left):
            def act(*arguments, **options):
                if left[0] == 0:
                    raise PowerCutError
                left[0] -= 1
                return real(*arguments, **options)

            return act

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut(Path.replace))
            patch.setattr(Path, "unlink", cut(Path.unlink))
            with contextlib.suppress(PowerCutError):
                kept.save("image", *after)
        assert loaded(PersistentValues("uuid")) in (before, after)
        kept.save("image", *after)
        assert loaded(PersistentValues("uuid")) == after


def test_files_that_a_power_cut_left_are_removed(community):
    """They are arrays that no payload names, and files that never got their names."""
    kept = PersistentValues("uuid")
    for key in ("image", "image.0123456789abcdef"):
        kept.save(key, *ARRAYS[0])
    folder = community / "daemon" / "persist" / "uuid"
    whole = {path.name for path in folder.iterdir()}
    for name in ("bulk:image.fedcba9876543210", "bulk:gone.fedcba9876543210"):
        (folder / name).write_bytes(b"old")
    for name in (".abcd_123", ".fresh_12"):
        (folder / name).write_bytes(b"half")
    os.utime(folder / ".abcd_123", (1, 1))
    assert len(list(kept.load())) == 2
    assert {path.name for path in folder.iterdir()} == {*whole, ".fresh_12"}


def test_a_saved_payload_that_cannot_be_read_is_returned_unchanged(community):
    """The caller knows what to report."""
    kept = PersistentValues("uuid")
    kept.save("number", b"{", None)
    assert list(kept.load()) == [("number", b"{", None)]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "folder" / "file"
    atomic.write(path, b"one")
    atomic.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_keys_of_all_kinds_can_be_names_of_files(community):
    kept = PersistentValues("uuid")
    keys = {"a.b", "percent%25", "_fruitdev", "ünïcode", "bulk:x", "a:b"}
    for key in keys:
        kept.save(key, b'{"value":1}', None)
        assert kept.read(key) == (b'{"value":1}', None)
    assert {key for key, _, _ in kept.load()} == keys


def test_no_key_has_the_file_of_another_keys_array(community):
    kept = PersistentValues("uuid")
    kept.save("x", *ARRAYS[0])
    kept.save("bulk:x", b'{"value":1}', None)
    assert kept.read("x")[1] == b"abc"


def test_a_key_that_is_too_long_for_a_file_name_is_refused(community):
    """It is refused only if it is to persist, and before it has a value."""
    long = "ü" * 100
    config.authoritative("pie", "fruit", {long: {}})
    with pytest.raises(ValueError, match="too long"):
        config.authoritative("pie", "fruit", {long: {"persist": True}})
    PersistentValues("uuid").save("x" * 200, *ARRAYS[0])


def test_the_home_is_made_at_the_given_place(tmp_path, community):
    wanted = tmp_path / "elsewhere"
    assert mktl.home(str(wanted)) == str(wanted)
    assert mktl.home() == str(wanted)
    assert os.environ["MKTL_HOME"] == str(wanted)
    assert wanted.is_dir()
    with pytest.raises(ValueError, match="absolute"):
        mktl.home("here")


def test_ports_and_identity_are_remembered(community):
    uuid = places.identity("pie", "fruit")
    assert places.identity("pie", "fruit") == uuid
    assert places.ports("pie", uuid) == (None, None)
    places.save_ports("pie", uuid, 1, 2)
    assert places.ports("pie", uuid) == (1, 2)
    assert places.taken_ports() == {1, 2}


def test_registries_are_remembered_beside_those_in_the_configuration(community):
    folder = Path(mktl.home(), "client")
    folder.mkdir(parents=True)
    (folder / "registries").write_text("one  two # not three\n\n# four\n")
    cache.remember_registries({"five", "one"})
    assert set(cache.known_registries()) == {"one", "two", "five"}


def test_a_daemon_runs_in_only_one_process(community):
    """The lock of a killed process is free."""
    program = (
        "import sys\nfrom mktl_daemon.files import places\n"
        "lock = places.Lock('pie', 'fruit')\nlock.describe('there:1')\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(places.Taken, match="there:1"):
            places.Lock("pie", "fruit")
        other.kill()
    places.Lock("pie", "fruit").release()


def test_the_discovery_ports_can_be_changed(monkeypatch):
    monkeypatch.delenv("MKTL_DISCOVERY", raising=False)
    assert environment.discovery_ports() == (10103, 10111)
    monkeypatch.setenv("MKTL_DISCOVERY", "1,2")
    assert environment.discovery_ports() == (1, 2)
    monkeypatch.setenv("MKTL_DISCOVERY", "1")
    with pytest.raises(ValueError, match="MKTL_DISCOVERY"):
        environment.discovery_ports()


def test_values_that_are_written_together_survive_a_power_cut(community):
    """The journal has them, even if their own files were not synced."""
    kept = PersistentValues("uuid")
    kept.save_together({"a": b'{"value":1,"time":1.0}', "b": b'{"value":2,"time":1.0}'})
    kept.save_together({"a": b'{"value":3,"time":2.0}'})
    folder = community / "daemon/persist/uuid"
    (folder / "a").write_bytes(b"")
    (folder / "b").unlink()
    values = {
        key: json.loads(payload)["value"]
        for key, payload, _ in PersistentValues("uuid").load()
    }
    assert values == {"a": 3, "b": 2}
    assert not (folder / ".journal").exists()


def test_a_file_written_after_the_journal_is_newer(community):
    """Another program with this home may have written it."""
    PersistentValues("uuid").save_together({"a": b'{"value":1,"time":1.0}'})
    (community / "daemon/persist/uuid/a").write_bytes(b'{"value":2,"time":2.0}')
    assert [payload for _, payload, _ in PersistentValues("uuid").load()] == [
        b'{"value":2,"time":2.0}'
    ]


def test_a_value_whose_file_is_synced_needs_no_journal(community):
    kept = PersistentValues("uuid")
    kept.save_together({"a": b'{"value":1,"time":1.0}'})
    kept.settle()
    assert not (community / "daemon/persist/uuid/.journal").exists()
    assert list(PersistentValues("uuid").load()) == [
        ("a", b'{"value":1,"time":1.0}', None)
    ]


def test_a_folder_that_cannot_be_written_is_reported_with_user_and_fix(
    community, monkeypatch
):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(
        PermissionError, match=r"cannot be written by the user .*MKTL_HOME"
    ):
        atomic.write(community / "file", b"")


def test_the_home_of_a_group_has_folders_of_the_group_with_any_umask(tmp_path):
    home = tmp_path / "shared"
    home.mkdir()
    home.chmod(0o2775)
    before = os.umask(0o077)
    try:
        atomic.write(home / "a" / "b" / "file", b"")
    finally:
        os.umask(before)
    for path in (home / "a", home / "a" / "b"):
        assert path.stat().st_mode & 0o7777 == 0o2775
    assert (home / "a/b/file").stat().st_mode & 0o777 == 0o664


def test_a_client_without_a_cache_goes_on_and_warns_once(
    community, monkeypatch, caplog
):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write", refuse)
    for number in range(3):
        block = {
            "store": "pie",
            "alias": f"a{number}",
            "uuid": f"u{number}",
            "items": {},
        }
        config.known("pie").update(block)
    assert len(config.known("pie")) == 3
    assert [line for line in caplog.messages if "no cache" in line] == [
        f"there is no cache under {community}: [Errno 28] No space left on device"
    ]


def test_a_file_system_without_locks_is_named_and_is_no_second_daemon(
    community, monkeypatch, caplog
):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(places.fcntl, "flock", no_locks)
    places.Lock("pie", "fruit").release()
    assert "cannot be locked" in caplog.text
