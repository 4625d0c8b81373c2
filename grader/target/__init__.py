"""One class per kind of program under test; the only code that reads what a submission answers.

A target starts the submission through grader.sandbox, sends, waits with a deadline, records every byte in the
transcript, and returns values. A program that hangs, dies or was never started raises Complaint here, with the right
verdict; whether an *answer* is right is for the checks to say.
"""
