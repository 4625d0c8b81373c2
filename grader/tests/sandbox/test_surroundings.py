"""What a program finds around it: its files, an empty input, a clean environment, and nothing of ours."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import signal
import socket
import sys
from pathlib import Path

import pytest

from grader.course import load_exercise
from grader.model import KitError, UsageError
from grader.sandbox import isolation as isolation_module
from grader.sandbox import landlock as landlock_module
from grader.sandbox import scratch as scratch_module
from grader.sandbox.policy import Policy, interpreter_folders
from grader.sandbox.scratch import copy_submission
from grader.sandbox.stage import prepare_site
from grader.tests.sandbox.stage import run, stage

ALLOWED = {
    "HOME", "TMPDIR", "TEMP", "TMP", "PATH", "LANG", "TZ", "LC_CTYPE",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT",
}  # fmt: skip


def test_input_fails_at_once(tmp_path: Path, isolation: str) -> None:
    ran = run(stage(tmp_path, isolation, main="input('your name? ')"))
    assert ran.code == 1
    assert "EOFError" in ran.stderr


def test_the_environment_holds_nothing_of_ours(tmp_path: Path, isolation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "https_proxy", "PYTHONPATH", "PYTEST_ADDOPTS", "GITHUB_TOKEN", "RUNNER_TEMP", "CI"):
        monkeypatch.setenv(name, "/secret")
    ran = run(stage(tmp_path, isolation, main="import os\nprint(*os.environ)\nprint(list(os.environ.values()))"))
    names, values = ran.stdout.splitlines()
    assert set(names.split()) <= ALLOWED
    assert "/secret" not in values


def test_home_and_temporary_files_are_in_the_scratch_folder(tmp_path: Path, isolation: str) -> None:
    text = (
        "import os, tempfile\nwith tempfile.NamedTemporaryFile() as file: print(file.name)\n"
        "print(os.path.expanduser('~/mine'))\nopen(os.path.expanduser('~/mine'), 'w').close()"
    )
    site = stage(tmp_path, isolation, main=text)
    ran = run(site)
    assert ran.code == 0, ran.stderr
    assert all(Path(line).parent == site.scratch for line in ran.stdout.splitlines())


def test_a_file_beside_the_program_shadows_nothing(tmp_path: Path, isolation: str) -> None:
    shadows = dict.fromkeys(("json", "os", "socket", "sitecustomize", "typing", "site"), "raise SystemExit('shadowed')")
    text = "import json, os, socket, typing, helper\nprint(json.dumps(helper.VALUE))"
    ran = run(stage(tmp_path, isolation, main=text, helper="VALUE = [1]", **shadows))
    assert (ran.code, ran.stdout) == (0, "[1]\n"), ran.stderr


def test_the_program_sees_itself_as_started_directly(tmp_path: Path, isolation: str) -> None:
    text = (
        '"""Its docstring."""\n'
        "import sys\nprint(__name__, __doc__, sys.argv == [__file__], sys.modules['__main__'].__file__ == __file__)\n"
        "print(sorted(name for name in globals() if not name.startswith('__')))\nexit(4)"
    )
    ran = run(stage(tmp_path, isolation, main=text))
    assert ran.stdout == "__main__ Its docstring. True True\n['sys']\n"
    assert ran.code == 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits, and other signals")
def test_signals_are_those_of_a_fresh_program(tmp_path: Path, isolation: str) -> None:
    text = "import signal\nprint(signal.getsignal(2) is signal.default_int_handler, signal.getsignal(15) == 0)\n"
    site = stage(tmp_path, isolation, main=text)
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        ran = run(site)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert ran.stdout == "True True\n", ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_thread_for_each_of_five_hundred_clients_is_possible(tmp_path: Path, isolation: str) -> None:
    text = (
        "import threading\ngo = threading.Event()\n"
        "threads = [threading.Thread(target=go.wait) for _ in range(500)]\n"
        "for thread in threads: thread.start()\n"
        "print(threading.active_count())\ngo.set()\n"
    )
    ran = run(stage(tmp_path, isolation, main=text), Policy(processes=600))
    assert ran.stdout == "501\n", ran.stderr


def plant_bytecode(folder: Path) -> Path:
    """Compiled code that is not that of helper.py, made so that an interpreter is asked not to compare the two."""
    other = folder / "other.py"
    other.write_text("VALUE = 'planted'", encoding="utf-8")
    target = Path(importlib.util.cache_from_source(str(folder / "helper.py")))
    py_compile.compile(str(other), str(target), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    other.unlink()
    return target


def test_planted_bytecode_is_not_copied_and_would_not_run(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import helper\nprint(helper.VALUE)", helper="VALUE = 'read'")
    planted = plant_bytecode(site.submission)
    assert planted.exists()
    assert run(site).stdout == "read\n"
    assert copy_submission(site.submission, tmp_path / "copy") == []
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*")) == ["helper.py", "main.py"]


def test_links_and_pipes_are_not_copied_and_named(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    (source / "sub").mkdir(parents=True)
    (source / "main.py").write_text("print(1)", encoding="utf-8")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    try:
        (source / "link.py").symlink_to(tmp_path / "secret")
        (source / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links for us")
    if hasattr(os, "mkfifo"):
        os.mkfifo(source / "pipe")
    notes = copy_submission(source, tmp_path / "copy")
    assert [path.name for path in sorted((tmp_path / "copy").rglob("*"))] == ["main.py", "sub"]
    expected = ["mine/link.py is not a regular file and was not copied"]
    expected += ["mine/pipe is not a regular file and was not copied"] if hasattr(os, "mkfifo") else []
    assert sorted(notes) == sorted([*expected, "mine/sub/up is a symbolic link and was not copied"])


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helper.py").write_text("print(1)", encoding="utf-8")
    monkeypatch.setattr("shutil.copyfile", refuse)
    notes = copy_submission(tmp_path / "mine", tmp_path / "copy")
    assert notes == ["mine/helper.py cannot be read (Permission denied) and was not copied"]


def test_what_is_too_large_is_left_out_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    for number in range(4):
        (source / f"f{number}").write_bytes(bytes(100 * number))
    monkeypatch.setattr(scratch_module, "MAX_FILE", 250)
    assert "f3 is larger than" in copy_submission(source, tmp_path / "a")[0]
    monkeypatch.setattr(scratch_module, "MAX_FILES", 2)
    with pytest.raises(UsageError, match="folder of an exercise"):
        copy_submission(source, tmp_path / "b")


def test_what_lies_outside_cannot_be_opened(tmp_path: Path, landlock: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary", encoding="utf-8")
    text = (
        "import os\n"
        "def refused(action):\n    try:\n        action()\n"
        "    except PermissionError:\n        return True\n    return False\n"
        f"print(refused(lambda: open({str(secret)!r})), refused(lambda: open({str(secret)!r}, 'w')),\n"
        f"      refused(lambda: os.listdir({str(Path(__file__).parents[2])!r})),\n"
        "      refused(lambda: open(f'/proc/{os.getppid()}/environ')), refused(lambda: os.kill(os.getppid(), 0)))"
    )
    ran = run(stage(tmp_path, landlock, main=text))
    assert ran.stdout == "True True True True True\n", ran.stderr
    assert secret.read_text(encoding="utf-8") == "canary"
    allowed = run(
        stage(tmp_path / "second", landlock, main=f"print(open({str(secret)!r}).read())"), Policy(read=(secret,))
    )
    assert allowed.stdout == "canary\n"


@pytest.mark.skipif(landlock_module.abi() < 4, reason="this kernel does not limit ports")
def test_only_the_ports_of_the_policy_can_be_reached(tmp_path: Path, landlock: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        site = stage(tmp_path, landlock, main=f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)")
        assert "PermissionError" in run(site).stderr
        assert run(site, Policy(ports=(port,))).code == 0
        assert run(site, Policy(ports=None)).code == 0


def test_the_self_test_notices_a_sandbox_that_does_not_hold(landlock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = landlock_module.create_ruleset

    def lax(read: tuple[Path, ...], write: tuple[Path, ...], ports: tuple[int, ...] | None) -> int:
        return real((*read, Path("/")), write, ports)

    monkeypatch.setattr(isolation_module, "_probed", isolation_module._probed.__wrapped__)
    assert isolation_module.missing() == ""
    monkeypatch.setattr(landlock_module, "create_ruleset", lax)
    assert isolation_module.missing() == "reading outside"


def test_an_isolation_that_cannot_be_had_is_an_error_and_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation_module, "missing", lambda: "reading outside")
    monkeypatch.setattr(isolation_module, "landlock_holds", lambda: False)
    assert isolation_module.choose_isolation("auto") == "process"
    with pytest.raises(KitError, match="reading outside"):
        isolation_module.choose_isolation("landlock")
    with pytest.raises(KitError, match="auto, process, landlock"):
        isolation_module.choose_isolation("vault")


def test_what_the_kernel_cannot_refuse_is_named(landlock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation_module, "_probed", isolation_module._probed.__wrapped__)
    monkeypatch.setattr(landlock_module, "abi", lambda: 3)  # Linux 6.2: files, and neither ports nor signals
    monkeypatch.setattr("grader.sandbox.seccomp.program", lambda: b"")
    assert isolation_module.missing() == ""
    described = isolation_module.describe("landlock")
    for promise in ("connecting to TCP ports", "binding TCP ports", "UDP"):
        assert promise in described
    assert isolation_module.describe("process") == "process"


def test_a_kit_among_the_libraries_is_refused(landlock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isolation_module.readable_kit(Path("/usr/share/kit")) == "/usr/share"
    assert isolation_module.readable_kit(interpreter_folders()[0] / "kit") != ""
    for granted_before in ("/opt/kit", "/usr/src/kit", "/usr/local/kit"):
        assert isolation_module.readable_kit(Path(granted_before)) == ""
    monkeypatch.setattr(isolation_module, "readable_kit", lambda: "/usr/share")
    for wanted in ("auto", "landlock"):
        with pytest.raises(KitError, match="/usr/share"):
            isolation_module.choose_isolation(wanted)
    assert isolation_module.choose_isolation("process") == "process"


def test_a_link_in_the_place_of_a_folder_opens_nothing(tmp_path: Path, landlock: str) -> None:
    (tmp_path / "folder").symlink_to("/")
    with pytest.raises(OSError, match="symbolic link"):
        os.close(landlock_module.create_ruleset((tmp_path / "folder",), (), ()))


REPLACE = """
import os
for folder in {folders!r}:
    try:
        os.rename(folder, folder + "-moved")
        os.symlink("/", folder)
        print("replaced", folder)
    except OSError:
        pass
open(os.environ["HOME"] + "/tried", "w").close()
"""


def test_no_program_replaces_a_folder_that_rules_are_made_of(tmp_path: Path, landlock: str) -> None:
    exercise = load_exercise(Path(isolation_module.KIT) / "grader" / "checks" / "wsgi_catalog")
    (tmp_path / "child" / "submission").mkdir(parents=True)
    site = prepare_site(tmp_path, exercise, landlock)
    folders = [str(folder) for folder in (*site.packages, site.shared, site.scratch)]
    (site.submission / "main.py").write_text(REPLACE.format(folders=folders), encoding="utf-8")
    assert run(site).stdout == ""
    assert (site.scratch / "tried").exists()
