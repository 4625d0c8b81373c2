"""Calls functions of a submission on request: one JSON line in, one JSON line out.

    {"call": "parse_query", "args": [...], "kwargs": {...}}
        -> {"value": ...} | {"raised": {...}} | {"missing": "parse_query"} | {"unfit": "why it cannot be sent"}
    {"extension": "/path/to/module.py", "function": "name", "args": [...]}
        -> the same, for a function of the kit that is given the submission's module first

The first line out is {"loaded": true} or {"raised": {...}}. What the student prints goes to standard error;
standard input is empty, so input() fails at once. A line is a value, never a verdict.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from types import ModuleType, TracebackType
from typing import Any, BinaryIO

MAX_FRAMES = 8
MAX_TEXT = 2000
MAX_ANSWER = 2 << 20


def _load(path: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_hidden(path: str, name: str) -> ModuleType:
    """Load a module of the kit, and take its name out of sys.modules again."""
    module = _load(path, name)
    sys.modules.pop(name, None)
    return module


def main() -> None:
    """Load sys.argv[1] as the module sys.argv[3], then answer until the requests end; sys.argv[2] is plain.py."""
    submission, plain_path, name = sys.argv[1:4]
    plain = _load_hidden(plain_path, "_grader_plain")
    # The submission finds neither this module nor the kit's others by name: nothing of its own should change them.
    sys.modules["__main__"] = ModuleType("__main__")
    # The two pipes move to private descriptors: print() and input() of the submission must not disturb them.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    root = os.path.dirname(submission)  # noqa: PTH120  (pathlib costs 10 ms of every start)
    extensions: dict[str, ModuleType] = {}
    try:
        module = _load(submission, name)
    except BaseException as error:  # noqa: BLE001  (also SystemExit: whatever an import can raise is the answer)
        _answer(replies, {"raised": _describe(error, root, plain)})
        return
    _answer(replies, {"loaded": True})
    for line in requests:
        request = json.loads(line)
        try:
            function = _find(request, module, extensions)
            if function is None:
                answer = {"missing": request["call"]}
            else:
                args = [plain.decode(item) for item in request.get("args", [])]
                kwargs = {key: plain.decode(item) for key, item in request.get("kwargs", {}).items()}
                value = function(*args, **kwargs)
                try:
                    answer = {"value": plain.encode(value)}
                except (ValueError, RecursionError) as error:
                    answer = {"unfit": str(error)}
        except BaseException as error:  # noqa: BLE001  (SystemExit from a call is an answer too, not our end)
            answer = {"raised": _describe(error, root, plain)}
        _answer(replies, answer)


def _find(request: dict[str, Any], module: ModuleType, extensions: dict[str, ModuleType]) -> Any:
    found: Any = module
    for part in request["call"].split(".") if request["call"] else []:
        found = getattr(found, part, None)
    if request["call"] and not callable(found):
        return None
    if "extension" in request:
        path = request["extension"]
        if path not in extensions:
            extensions[path] = _load_hidden(path, f"_grader_extension_{len(extensions)}")
        function = getattr(extensions[path], request["function"])
        return lambda *args, **kwargs: function(module, *args, **kwargs)
    return found


def _answer(replies: BinaryIO, answer: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        line = json.dumps(answer).encode("ascii")
        if len(line) > MAX_ANSWER:
            line = json.dumps({"unfit": f"it is longer than {MAX_ANSWER >> 20} MiB"}).encode("ascii")
        replies.write(line + b"\n")
        replies.flush()


def _describe(error: BaseException, root: str, plain: ModuleType) -> dict[str, Any]:
    try:
        message = str(error)
    except Exception as second:  # noqa: BLE001  (a student's __str__ may itself be wrong)
        message = f"<its __str__ raised {type(second).__name__}>"
    attrs = {key: value for key, value in getattr(error, "__dict__", {}).items() if plain.is_plain(value)}
    frames = _frames(error.__traceback__, root)
    if isinstance(error, SyntaxError) and error.filename:
        frames.append([os.path.basename(str(error.filename)), error.lineno or 0, "", error.text or ""])  # noqa: PTH119
    return {
        "type": type(error).__name__,
        "mro": [kind.__name__ for kind in type(error).__mro__],
        "message": message[:MAX_TEXT],
        "attrs": {str(key): plain.encode(value) for key, value in attrs.items()},
        "frames": frames,
    }


def _frames(trace: TracebackType | None, root: str) -> list[list[Any]]:
    """The student's own frames, outermost first: [file relative to the submission, line, function, ""]."""
    frames = []
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(root + os.sep):
            frames.append([path[len(root) + 1 :], trace.tb_lineno, trace.tb_frame.f_code.co_name, ""])
        trace = trace.tb_next
    return frames[-MAX_FRAMES:]


if __name__ == "__main__":
    main()
