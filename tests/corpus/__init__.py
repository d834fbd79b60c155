"""Broken inputs of the project's own: made anew each time, so that none lies in the repository.

`python -m tests.corpus` reads each in a process of its own and prints how many ended with which code.
"""
