"""The only code that starts a submission.

::

    policy      the limits, as a table with units
    launch      the command line of a child
    isolation   which grade of isolation this machine holds, proved by a probe
    scratch     a private copy of the submission's regular files
    stage       the folders of one copy: the children's own, what they may import, what the judge shares
    landlock    Linux: which paths and ports a child may touch
    seccomp     Linux: which system calls a child may make
    spawn       start a child, collect its capped output, wait with a deadline, end its whole tree
    guard       Linux: what all children of a judge take together, and the end of them when it is far too much
    worker      call functions of a submission in a child, plain data in and out
    child/      what runs on the other side of the process boundary
"""
