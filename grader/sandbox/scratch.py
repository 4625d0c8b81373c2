"""A private copy of a submission: regular files only, capped in size, no bytecode, no links out."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
from importlib.util import find_spec
from pathlib import Path

from grader.model import KitError, UsageError

MAX_FILE = 8 << 20
MAX_TOTAL = 64 << 20
MAX_FILES = 2000
MAX_DEPTH = 20
SKIPPED = (
    "__pycache__",
    ".git",
    ".venv",
    "venv",
    "node_modules",
    ".hypothesis",
    ".pytest_cache",
    ".mypy_cache",
)


def copy_submission(source: Path, target: Path) -> list[str]:
    """Copy the regular files below `source` to `target`; returns a sentence for each thing left out.

    Symbolic links, devices, pipes and bytecode are never copied (a planted .pyc would run instead of the text that
    is read). Raises UsageError when the whole is too large to be somebody's exercise.
    """
    notes: list[str] = []
    total = count = 0
    target.mkdir(parents=True, exist_ok=True)
    for folder, names, files in os.walk(source, followlinks=False):
        here = Path(folder)
        linked = [name for name in names if (here / name).is_symlink()]
        notes += [f"{_shown(here / name, source)} is a symbolic link and was not copied" for name in linked]
        names[:] = sorted(name for name in names if name not in SKIPPED and name not in linked)
        if names and len(here.relative_to(source).parts) >= MAX_DEPTH:
            raise UsageError(f"{source}: over {MAX_DEPTH} folders deep; is this the folder of an exercise?")
        for name in names:
            (target / here.relative_to(source) / name).mkdir(exist_ok=True)
        for name in sorted(files):
            path = here / name
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                notes.append(f"{_shown(path, source)} is not a regular file and was not copied")
                continue
            if name.endswith((".pyc", ".pyo", ".pth")):
                continue
            if status.st_size > MAX_FILE:
                notes.append(f"{_shown(path, source)} is larger than {MAX_FILE >> 20} MiB and was not copied")
                continue
            total, count = total + status.st_size, count + 1
            if total > MAX_TOTAL or count > MAX_FILES:
                raise UsageError(
                    f"{source}: over {MAX_TOTAL >> 20} MiB or {MAX_FILES} files; is this the folder of an exercise?"
                )
            try:
                shutil.copyfile(path, target / here.relative_to(source) / name, follow_symlinks=False)
            except OSError as error:
                notes.append(f"{_shown(path, source)} cannot be read ({error.strerror}) and was not copied")
    return notes


def copy_package(name: str, target: Path) -> Path:
    """Copy an installed package of pure Python into `target`, and return `target`, ready for Site.packages.

    A copy, because the folder where it is installed may hold the kit and its checks as well. Raises KitError when it
    is not installed.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise KitError(f"this exercise needs the package {name}: python -m pip install {name}")
    shutil.copytree(Path(spec.origin).parent, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def _shown(path: Path, source: Path) -> str:
    return path.relative_to(source.parent).as_posix()


def remove_tree(root: Path) -> None:
    """Remove a folder in which no child runs any more, whatever its children have made of it.

    Folders may be nested deeper than any path or recursion reaches, or closed to their own owner: each is opened and
    its folders are moved up to `root` before it goes.
    """
    numbers = itertools.count()
    with contextlib.suppress(OSError):
        while folders := _remove_files(root):
            for folder in folders:
                for inner in _remove_files(folder):
                    inner.rename(root / f"{root.name}-{next(numbers)}")
                folder.rmdir()
        root.rmdir()


def remove_shared_memory(uid: int | None, folder: Path = Path("/dev/shm")) -> None:
    """Linux: what children of a user of their own have left in shared memory, the one folder that all may write to."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir() if uid is not None else ():
            if path.lstat().st_uid == uid:
                if path.is_dir() and not path.is_symlink():
                    remove_tree(path)
                else:
                    path.unlink()


def _remove_files(folder: Path) -> list[Path]:
    """Remove what is no folder; the folders that stay, opened."""
    folder.chmod(0o700)
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
                folders[-1].chmod(0o700)
            else:
                Path(entry.path).unlink()
    return folders


def give_to(folder: Path, uid: int | None, inside: bool = True) -> None:
    """Make `uid` the owner of a folder (a child that gave up root must be able to write) and of all that is `inside`.

    Of all that is inside only before a child of that user has run: it could lead the way to other files.
    """
    if uid is None or not hasattr(os, "lchown"):
        return
    os.lchown(folder, uid, uid)
    for here, names, files in os.walk(folder) if inside else ():
        for name in names + files:
            os.lchown(Path(here) / name, uid, uid)
