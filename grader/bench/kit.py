"""What the kit itself costs: `python -m grader.bench.kit [--rounds N] [--limit SECONDS]`.

Side by side in one run, medians of the rounds, with ratios and goals: whole gradings (also one that has to make its
examples anew), the first verdict, fuzzing with and without the process boundary, a CGI run against a bare start of the
interpreter. Trust the ratios more than the seconds; on a busy machine trust processor time more than wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.bench import kit_inside
from grader.engine.judge import KEPT_EXAMPLES

KIT = Path(__file__).resolve().parents[2]
BARE = [sys.executable, "-I", "-S", "-X", "utf8", "-c", "pass"]
EXERCISES = ("cgi_calculator", "socket_server", "wsgi_catalog")
RUNS_PER_ROUND = 20
ENOUGH_ROUNDS = 5

# A grading as the command line does it, which also tells when the first verdict came.
GRADE = """
import sys, time
from pathlib import Path
from grader.course import load_course, select
from grader.grade import default_jobs, grade
from grader.model import Settings
from grader.submission import find_submission
began = float(sys.argv[1])
course = load_course()
first = []
submission = find_submission(Path(sys.argv[2]), course)
selections = [item for item in select(course, sys.argv[3:]) if submission.folder(item.exercise).is_dir()]
def note(outcome):
    first or first.append(time.monotonic() - began)
card = grade(submission, tuple(selections), Settings(jobs=default_jobs()), note)
print(first[0], card.examples, f"{card.points}/{card.max_points}")
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall time and of processor time, of the process and all that it waited for."""

    wall: float
    cpu: float


def measure(action: Callable[[], object]) -> Cost:
    """What one call costs, children included (where the system tells; elsewhere cpu is that of this process)."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    action()
    return Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """Processor time so far of this process and of its children that have ended."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Samples:
    """Costs by name, in the order in which the names first came."""

    def __init__(self) -> None:
        self._costs: dict[str, list[Cost]] = {}

    def add(self, name: str, cost: Cost) -> None:
        """One more round of `name`."""
        self._costs.setdefault(name, []).append(cost)

    def wall(self, name: str) -> float:
        """The median, in seconds."""
        return statistics.median(cost.wall for cost in self._costs[name])

    def cpu(self, name: str) -> float:
        """The median processor time, in seconds, children included."""
        return statistics.median(cost.cpu for cost in self._costs[name])

    def rounds(self, name: str) -> int:
        """How often it was measured."""
        return len(self._costs[name])

    @property
    def names(self) -> list[str]:
        """In the order in which they first came."""
        return list(self._costs)


def grading(samples: Samples, name: str, path: str, *names: str) -> str:
    """Grade once; the score."""
    printed = ""

    def run() -> None:
        nonlocal printed
        command = [sys.executable, "-c", GRADE, str(time.monotonic()), path, *names]
        printed = subprocess.run(command, cwd=KIT, capture_output=True, text=True, check=True, timeout=300).stdout

    samples.add(name, measure(run))
    first, examples, score = printed.split()
    samples.add(f"{name}, first verdict", Cost(float(first), 0.0))
    return f"{name}: {score}, {examples} fuzz examples"


def bare_start() -> None:
    """Start an interpreter that does nothing, and wait for its end: what no child can cost less than."""
    subprocess.run(BARE, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Rounds, a limit in seconds, and a file for the medians."""
    parser.add_argument("--rounds", type=int, default=ENOUGH_ROUNDS, help="rounds (default and least: 5)")
    parser.add_argument("--limit", type=float, default=240.0, help="start no further round after these seconds")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the medians there as well")


def main() -> int:
    """Measure, print, and say which goals were missed; 0 when all were met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m grader.bench.kit", description=(__doc__ or "").partition("\n")[0])
    add_arguments(parser)
    options = parser.parse_args()
    samples, facts = Samples(), set()
    began = time.monotonic()
    with kit_inside.Bench() as inside:
        for number in range(max(ENOUGH_ROUNDS, options.rounds)):
            if number and time.monotonic() - began > options.limit:
                print(f"stopped after {number} rounds: the limit of {options.limit:g} s was reached")
                break
            facts |= one_round(samples, inside)
    print(surroundings())
    for fact in sorted(facts):
        print(fact)
    print(table(samples))
    goals = judge(samples)
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'}  {goal}")
    if options.json:
        data = {name: {"wall": samples.wall(name), "cpu": samples.cpu(name)} for name in samples.names}
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return 0 if all(goals.values()) else 1


def surroundings() -> str:
    """The machine, and how busy it is: with more to do than it has processors, wall times mean little."""
    processors = os.cpu_count() or 1
    if sys.platform == "win32":
        return f"{processors} processors"
    load = os.getloadavg()[0]
    busy = "; busy with other things, trust no wall time below" if load > processors + 1 else ""
    return f"{processors} processors, load {load:.1f}{busy}"


def one_round(samples: Samples, inside: kit_inside.Bench) -> set[str]:
    """Everything once, what is compared next to each other."""
    shutil.rmtree(KEPT_EXAMPLES, ignore_errors=True)
    facts = {
        grading(samples, "solutions, new examples", "solutions"),
        grading(samples, "solutions", "solutions"),
        grading(samples, "exercises, untouched", "exercises"),
        *(grading(samples, name, "solutions", name) for name in EXERCISES),
    }
    for name, fuzz in inside.fuzzes.items():
        cost = measure(fuzz)
        examples = inside.EXAMPLES[name]
        samples.add(f"fuzz {name}", Cost(cost.wall / examples, cost.cpu / examples))
    for _ in range(RUNS_PER_ROUND):
        samples.add("bare interpreter", measure(bare_start))
        samples.add("CGI run, empty program", measure(inside.cgi_run))
    return facts


def table(samples: Samples) -> str:
    """One line per thing measured: rounds, wall, processor time, and the ratio to what it is compared with."""
    bases = {
        "fuzz through the worker": "fuzz in-process",
        "fuzz through CGI": "fuzz in-process",
        "CGI run, empty program": "bare interpreter",
        **dict.fromkeys(("solutions, new examples", "exercises, untouched", *EXERCISES), "solutions"),
    }
    lines = [f"{'median of the rounds':32}{'n':>5}{'wall ms':>10}{'cpu ms':>10}{'per s':>9}   ratio of wall, of cpu"]
    for name in samples.names:
        wall, cpu = samples.wall(name) * 1e3, samples.cpu(name) * 1e3
        rate = f"{1e3 / wall:9.0f}" if name.startswith("fuzz") else " " * 9
        shown_cpu = " " * 10 if "first" in name else f"{cpu:10.2f}"
        line = f"{name:32}{samples.rounds(name):5}{wall:10.2f}{shown_cpu}{rate}"
        if base := bases.get(name):
            line += f"   {samples.wall(name) / samples.wall(base):.2f}, {samples.cpu(name) / samples.cpu(base):.2f}"
            line += f" of {base}"
        lines.append(line)
    return "\n".join(lines)


def judge(samples: Samples) -> Mapping[str, bool]:
    """Each goal with its figure, and whether it was met."""
    boundary = samples.cpu("fuzz through the worker") / samples.cpu("fuzz in-process") - 1
    wall = samples.wall("fuzz through the worker") / samples.wall("fuzz in-process") - 1
    first = samples.wall("solutions, first verdict")
    stubs = samples.wall("exercises, untouched")
    whole = samples.wall("solutions")
    return {
        f"the process boundary costs at most 15 % of fuzzing time: {wall:.0%} wall, {boundary:.0%} cpu": wall <= 0.15,
        f"the first verdict comes within 1 s: {first:.2f} s": first < 1.0,
        f"untouched stubs are graded within 2 s: {stubs:.2f} s": stubs < 2.0,
        f"all three at standard effort take less than 8 s: {whole:.2f} s": whole < 8.0,
        **{
            f"{name} at standard effort takes less than 4 s: {samples.wall(name):.2f} s": samples.wall(name) < 4.0
            for name in EXERCISES
        },
    }


if __name__ == "__main__":
    sys.exit(main())
