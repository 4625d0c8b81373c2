"""An autograder for three small web servers.

The flow, from what is graded to what is printed::

    course   what there is to grade             exercise.toml and the checks' decorators
    grade    one judge process per exercise     (submission, selection, settings) -> Scorecard
    engine   a check is a pytest test           inside the judge: outcomes, fuzzing, expectations
    target   one class per kind of program      the only code that reads a submission's bytes
    sandbox  starts, limits and ends processes  the only code that starts a submission
    report   Scorecard -> text                  terminal, JSON, GitHub
    audit    the kit proves itself              stubs, mutants

A submission never runs inside any of these processes; see README.md in this folder.
"""
