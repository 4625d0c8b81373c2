"""What a person does with an exercise between two gradings: try it, ask for a hint, look at a failure again.

::

    workplace  a copy of the exercise to run, made anew when a file has changed
    serve      python -m grader serve: one of these two, with the relay in front
    gateway      a CGI program behind HTTP (RFC 3875)
    program      a socket server or WSGI application as a process of its own
    relay      TCP in the middle: passes every byte on, and shows it
    wirelog    how bytes are shown: > what was sent, < what came back
    hint       python -m grader hint: one hint at a time
    replay     python -m grader replay: a check, a call or a request once more, every byte shown
    literal    'f("a", [Fraction(1, 2)])' -> a name and plain values; "GET /\\r\\n" -> bytes
"""
