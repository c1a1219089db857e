"""Simulates programs that are killed at a step that changes a file system."""

import os
import resource
from contextlib import contextmanager

from tests.helpers.bucket import Objects


class Killed(OSError):
    """Raised where a process would be killed."""


def steps(monkeypatch, remote, at):
    """Makes every file system step from number `at` on raise `Killed`; returns their number."""
    done = []

    def faulty(function):
        def call(*arguments, **more):
            done.append(function)
            if len(done) >= at:
                raise Killed(5, "killed", "x")
            return function(*arguments, **more)

        return call

    if not remote:
        for name in ("replace", "unlink", "fsync"):
            monkeypatch.setattr(os, name, faulty(getattr(os, name)))
        return done
    for name in ("pipe_file", "cp_file", "rm_file"):
        monkeypatch.setattr(Objects, name, faulty(getattr(Objects, name)))
    return done


@contextmanager
def files_of_at_most(size):
    """Lets the system refuse to make files longer, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
