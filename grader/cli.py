"""argv -> one call -> exit code.

python -m grader PATH [EXERCISE[/STEP[/CHECK]] ...]     grade a folder
python -m grader serve|hint|replay|stubs|audit ...      everything else
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import random
import sys
from pathlib import Path

from grader.arguments import Parser, not_negative, positive
from grader.course import Selection, load_course, select
from grader.grade import default_jobs, grade
from grader.model import Exercise, KitError, Scorecard, Settings, UsageError
from grader.submission import find_submission

EXIT_OK, EXIT_BELOW, EXIT_USAGE, EXIT_BROKEN, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

# Each verb is a module with add_arguments(parser) and run(options) -> exit code, imported only when it is used.
VERBS = {
    "serve": ("grader.byhand.serve", "run an implementation to try it by hand, and show what passes over the wire"),
    "hint": ("grader.byhand.hint", "the next hint for a step"),
    "replay": ("grader.byhand.replay", "send a failed check's exchange again and show every byte"),
    "stubs": ("grader.audit.stubs_command", "generate the stubs and step tables from the solutions"),
    "audit": ("grader.audit.run", "prove the kit: stubs, solutions, variants, mutants"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done or full marks, 1 below, 2 usage, 3 the kit's own fault."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(arguments)
    finally:
        _flush()


def _flush() -> None:
    """Write out what print() has kept back: at exit, Python would complain of a reader that has left (`| head`)."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        from grader.report import terminal

        terminal.silence(sys.stdout)


def _run(arguments: list[str]) -> int:
    try:
        if arguments and arguments[0] in VERBS:
            return _run_verb(arguments[0], arguments[1:])
        return _grade(arguments)
    except UsageError as error:
        _complain(str(error))
        return EXIT_USAGE
    except KitError as error:
        _complain(f"The grader itself has a problem, not your program:\n{error}\nPlease tell the course staff.")
        return EXIT_BROKEN
    except KeyboardInterrupt:
        _complain("interrupted; nothing is left running")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left before its end
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  (Python's own exit status, 1, would be a mark)
        fault = _unexpected(error)
        _complain(f"The grader itself has a problem, not your program:\n{fault}\nPlease tell the course staff.")
        return EXIT_BROKEN


def _unexpected(error: Exception) -> KitError:
    """A fault of ours as a sentence with the place in it."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" ({Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno})" if where is not None else ""
    return KitError(f"{type(error).__name__}: {error}{place}")


def _complain(text: str) -> None:
    from grader.report import terminal

    terminal.show_error(text)


def _run_verb(name: str, arguments: list[str]) -> int:
    module_name, purpose = VERBS[name]
    module = importlib.import_module(module_name)
    parser = Parser(prog=f"python -m grader {name}", description=purpose)
    module.add_arguments(parser)
    return int(module.run(parser.read(arguments)))


def _parser() -> Parser:
    verbs = "\n".join(f"  python -m grader {name:8}{purpose}" for name, (_, purpose) in VERBS.items())
    parser = Parser(
        prog="python -m grader",
        description="Grade a folder of exercises.",
        epilog=f"other commands:\n{verbs}\n\nexit codes: 0 full marks (or --min-score reached), 1 below, 2 usage, "
        "3 the grader's own fault, 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", nargs="?", help="the folder to grade: exercises, solutions, or one of that shape")
    parser.add_argument("names", nargs="*", metavar="EXERCISE[/STEP[/CHECK]]", help="only these (default: all)")
    parser.add_argument(
        "--effort",
        default="standard",
        choices=["quick", "standard", "thorough"],
        help="how many examples a fuzz check tries: 20, 100 (default) or 1000",
    )
    parser.add_argument("--seed", default="0", help='a whole number, or "random" (default: 0)')
    parser.add_argument("--jobs", type=positive, default=None, help="exercises at once (default: processors + 1)")
    parser.add_argument(
        "--min-score", type=not_negative, default=None, metavar="N", help="points that count as success"
    )
    parser.add_argument("--feedback", default="full", choices=["full", "brief"], help="brief hides expected values")
    parser.add_argument(
        "--isolation",
        default="auto",
        choices=["auto", "process", "landlock"],
        help="how programs are shut in (default: auto, the strongest that works here)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result there as JSON")
    parser.add_argument("--github", action="store_true", help="annotations and a job summary for GitHub Actions")
    parser.add_argument("-v", "--verbose", action="store_true", help="every failure in full, with all bytes")
    parser.add_argument("--list", action="store_true", help="show exercises, steps and checks, and stop")
    return parser


def _grade(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.read(arguments)
    if options.json and options.path is not None and not options.list:
        from grader.report import result

        result.remove_stale(options.json)  # before anything can go wrong: an old result is no result
    course = load_course()
    if options.list:
        # `exercises --list` is what people type too: the list is the same for every folder.
        first = [options.path] if options.path and _is_exercise(options.path, course) else []
        selections = select(course, [*first, *options.names])
        from grader.report import listing, terminal

        terminal.show(listing.render(selections))
        return EXIT_OK
    if options.path is None:
        parser.print_help()
        return EXIT_USAGE
    if not options.github:
        card, selections = _grade_and_show(options, course)
    else:
        from grader.report import github

        with github.paused_commands():
            card, selections = _grade_and_show(options, course)
        github.publish(card)
    return exit_code(card, options.min_score, selections)


def _is_exercise(name: str, course: tuple[Exercise, ...]) -> bool:
    return name.partition("/")[0] in {exercise.id for exercise in course} or not Path(name).is_dir()


def _expect_folder(name: str, course: tuple[Exercise, ...]) -> None:
    """Raises UsageError where a command or an exercise stands in the place of the folder."""
    if Path(name).exists():
        return
    if name.partition("/")[0] in {exercise.id for exercise in course}:
        raise UsageError(f"the folder comes first: python -m grader exercises {name}")
    if close := difflib.get_close_matches(name, [*VERBS, "exercises", "solutions"], n=1, cutoff=0.7):
        raise UsageError(f'there is no folder and no command "{name}". Did you mean "{close[0]}"?')


def _grade_and_show(
    options: argparse.Namespace, course: tuple[Exercise, ...]
) -> tuple[Scorecard, tuple[Selection, ...]]:
    _expect_folder(options.path, course)
    submission = find_submission(Path(options.path), course)
    selections = select(course, options.names)
    settings = Settings(
        effort=options.effort,
        seed=_seed(options.seed),
        jobs=options.jobs or default_jobs(),
        feedback=options.feedback,
        isolation=options.isolation,
    )
    from grader.report import progress, result, terminal

    try:
        with progress.Progress(selections, sys.stderr) as live:
            card = grade(submission, selections, settings, live.update)
        if options.json:
            result.write(options.json, card)
        terminal.show_report(card, verbose=options.verbose)
    except (UsageError, BrokenPipeError):
        raise
    except Exception as error:
        fault = error if isinstance(error, KitError) else _unexpected(error)
        if options.json:
            result.write_fault(options.json, submission.shown, str(fault))
        raise fault from error
    return card, selections


def _seed(word: str) -> int:
    if word == "random":
        return random.SystemRandom().randrange(1, 2**31)
    if not word.isdecimal():
        raise UsageError(f'--seed takes a whole number or "random", not "{word}"')
    return int(word)


def exit_code(card: Scorecard, min_score: int | None, selections: tuple[Selection, ...]) -> int:
    """0 for full marks or `min_score` reached, 1 below, 3 when a check was broken or none ran at all."""
    if card.broken or not any(selection.checks for selection in selections):
        return EXIT_BROKEN
    wanted = card.max_points if min_score is None else min_score
    return EXIT_OK if card.points >= wanted else EXIT_BELOW
