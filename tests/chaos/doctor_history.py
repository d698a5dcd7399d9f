#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one lie into a history of `holdfast chaos --history`, so that a checker can be seen to find it.

    doctor_history.py stale|lost|missing|outdated FILE >DOCTORED

stale: a read returns the value before the one that was there. lost: an acknowledged put that was read is not in the history.
missing: a read finds nothing where others before and after found a value. outdated: a value is stored that was begun to be
computed before a delete. Only the calls of the key that is lied about are printed. Exit status 3: the history has no place for
that lie.
"""
import json
import sys


def quiet_runs(calls):
    """Pairs and triples that follow each other with no other call of the key running, in the order of time."""
    calls.sort(key=lambda call: call["invoked_ns"])
    latest, run = -1, []
    for call in calls:
        if call["invoked_ns"] <= latest:
            run = []
        run.append(call)
        latest = max(latest, call["returned_ns"])
        yield run[-3:]


def done(call, *names, code="HF_OK"):
    return not call["crashed"] and call["operation"] in names and call["result"]["code"] == code


def lie(kind, run):
    """Changes one call of the run; None: this is no place for it."""
    if len(run) < 3:
        return None
    first, second, third = run
    # The run's first call may overlap what came before it, so it is never the one that is changed.
    if kind == "stale" and done(first, "get") and done(second, "put") and done(third, "get"):
        third["result"] = dict(first["result"])
        return third
    if kind == "missing" and all(done(call, "get") for call in run):
        second["result"] = {"code": "HF_NOTFOUND"}
        return second
    if kind == "lost" and done(second, "put") and done(third, "get"):
        return second
    found_nothing = done(first, "delete", code="HF_NOTFOUND") and done(second, "fill", code="HF_NOTFOUND")
    if kind == "outdated" and found_nothing and done(third, "publish") and "absent" not in third["argument"]:
        third["invoked_ns"] = first["invoked_ns"] - 1
        return third
    return None


def main():
    kind, path = sys.argv[1:3]
    with open(path, encoding="ascii") as file:
        lines = [json.loads(line) for line in file]
    keys = {}
    for line in lines:
        if "key" in line:
            keys.setdefault(line["key"], []).append(line)
    changed = next((call for calls in keys.values() for run in quiet_runs(calls) if (call := lie(kind, run))), None)
    if changed is None:
        return 3
    for line in lines:
        if line.get("key", changed["key"]) == changed["key"] and (kind != "lost" or line is not changed):
            print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
