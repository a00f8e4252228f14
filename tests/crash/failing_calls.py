#!/usr/bin/env python3
"""failing_calls.py BINARY MODEL: each of the program's calls on files fails, once or from then on; then the same command
goes on without faults.

BATCHWRIGHT_FAULTS=all takes every error at every call; otherwise EIO does, and the others take turns.
"""

import itertools
import os

import fault
import jobs
from jobs import check
from kill_everywhere import Compressed, Ordered, RaisedLimit, Resuming, Restart, RetryFailed, StandardInput, Unordered

CALLS_MAX = 1000
SECONDS_MAX = 60
ERRORS = ("EIO", "ENOSPC", "EDQUOT")
ALL = os.environ.get("BATCHWRIGHT_FAULTS") == "all"


def faults_at(call, k):
    """What happens to the k-th call of a kind."""
    errors = ERRORS if ALL else (ERRORS[k % 3],)
    for error in errors:
        for lasts in ("once", "ever"):
            yield fault.Fault(call, at=k, do="error", error=error, lasts=lasts)
    # flock tells by EAGAIN that another process has the lock.
    if call == "flock":
        yield fault.Fault(call, at=k, do="error", error="EAGAIN", lasts="once")
    # rename and unlink are not interrupted by signals.
    if call not in ("rename", "unlink"):
        yield fault.Fault(call, at=k, do="error", error="EINTR", lasts="once")
        if ALL or k % 3 == 0:
            yield fault.Fault(call, at=k, do="error", error="EINTR", lasts="ever")
    if call in ("write", "read"):
        yield fault.Fault(call, at=k, do="short", lasts="once")
        yield fault.Fault(call, at=k, do="short", lasts="ever")
    if call == "write":
        yield fault.Fault(call, at=k, do="full", lasts="ever")


def is_invisible(spec):
    """What a program has to get over without a word."""
    return spec.do == "short" or spec.error == "EINTR" and (spec.lasts == "once" or spec.call == "close")


def fail(scenario, spec):
    """One run with the fault, one without; whether the fault struck."""
    job = scenario.job
    scenario.restore()
    done = fault.run(job.command(), folder=scenario.folder, fault=spec, stdin=job.stdin(), timeout=SECONDS_MAX)
    message, code = jobs.said(done), done.returncode
    check(done.struck is not None, "ended by", code, message)
    job.forget()
    job.check_unfinished()
    if done.struck == 0 or is_invisible(spec):
        check(code == job.expected.code, "exit code", code, message)
        scenario.check_end(done, scenario.reported_at_start())
        return done.struck > 0
    allowed = {jobs.EXIT_IO}
    if spec.error == "EAGAIN":
        allowed = {jobs.EXIT_USAGE}
    if code == job.expected.code:
        # Nothing is lost where a file that was read is not closed, or one that is not needed any more not removed, or a
        # row read in vain to find its place in the order: it is read again when its turn comes.
        is_harmless = spec.call in ("close", "unlink") or spec.call == "read" and spec.lasts == "once"
        check(is_harmless and job.journal.is_complete, "went on after a failed call:", message)
    else:
        check(code in allowed, "exit code", code, message)
        check(str(scenario.folder) in message or "/batchwright-" in message, "no file is named:", message)
        check("internal" not in message, message)
    again = job.run()
    check(again.returncode == job.expected.code, "does not go on:", again.returncode, jobs.said(again), "after", message)
    scenario.check_end(again, 0)
    return True


def with_faults(scenario_class):
    """The scenario with faults instead of kills; a run that failed may have put rows elsewhere."""

    class WithFaults(scenario_class):
        name = scenario_class.name
        rewrites = True

        def check_end(self, done, reported):
            self.job.forget()
            if scenario_class is Restart:
                super().check_end(done, reported)
            else:
                self.job.check_complete(done.returncode)

        def run(self):
            struck = 0
            for call in fault.KINDS:
                for k in itertools.count(1):
                    check(k < CALLS_MAX, self.name, call, "does not end")
                    some = False
                    for spec in faults_at(call, k):
                        try:
                            hit = fail(self, spec)
                        except jobs.Wrong as wrong:
                            raise jobs.Wrong(f"{self.name}, {spec}: {wrong}") from None
                        struck += hit
                        some = some or hit
                    if not some:
                        break
            return struck

    return WithFaults


SCENARIOS = [Unordered, Ordered, StandardInput, Compressed, Resuming, RetryFailed, RaisedLimit, Restart]


def test(binary, model, folder):
    jobs.run_scenarios([with_faults(kind) for kind in SCENARIOS], "faults", binary, model, folder)


jobs.main(test)
