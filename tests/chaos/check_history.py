#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An outside judge of `holdfast chaos --history FILE`: is there, for every key, an order of its calls that explains every result?

    check_history.py FILE      exit status 0: yes; 1: no (the key and the call are named); 2: not a history

Written from the description in the man page alone, and with another search than the tool's own judge: the one of Wing and Gong,
with a memory of what was tried. Calls are taken one by one in an order that their intervals allow, and put back when one cannot be
explained. A call that crashed may also be left out.
"""
import json
import sys

LIMIT = 2_000_000  # steps for one key; beyond them the search says so and fails

# A state is (value, version, when of the puts and deletes that took effect the latest was invoked). The value of a counter is
# (write, number); any other is (write, after, length). None: absent.
MAKERS = ("put", "add", "append", "publish")
READS = ("get", "scan", "touch", "fill", "wait")


class Key:
    def __init__(self, name):
        self.name = name
        self.calls = []


def value_of(fields):
    if fields is None:
        return None
    if "number" in fields:
        return fields["write"], fields["number"]
    return fields["write"], fields["after"], fields["length"]


def made_by(call):
    argument = call["argument"]
    if "number" in argument:
        return argument["write"], argument["number"]
    return argument["write"], 0, argument["length"]


def grown(state, value, version):
    """The state after a write, or None if the version did not grow."""
    if version is not None and version <= state[1]:
        return None
    return value, version if version is not None else state[1]


def incremented(call, state):
    argument, value = call["argument"], state[0]
    if value is None and argument["if_present"]:
        return None
    base, number = value if value is not None else (0, argument["initial"])
    number += argument["by"]
    if not call["crashed"] and number != call["result"]["number"]:
        return None
    return grown(state, (base, number), None)


def appended(call, state, most):
    argument, value = call["argument"], state[0]
    after, length = (value[0], value[2]) if value is not None else (0, 0)
    length += argument["length"]
    if length > most or (not call["crashed"] and length != call["result"]["length"]):
        return None
    return grown(state, (argument["write"], after, length), None)


def answered(call, state, most, cache):
    """The state after a call that did not do what it was asked for, or None if that answer is wrong here."""
    code, name, value = call["result"]["code"], call["operation"], state[0]
    if code == "HF_NOTFOUND":
        must_make = name in MAKERS or (name == "incr" and not call["argument"]["if_present"])
        right = value is None and not must_make
    elif code == "HF_EXISTS":
        right = name in ("add", "fill") and value is not None
    elif code == "HF_CHANGED":
        right = name == "publish" or (value is not None and value != value_of(call["argument"]["expected"]))
    elif code == "HF_ERR_FULL":
        new = call["argument"].get("length")
        larger = value is None or name in ("append", "incr", "publish") or new is None or len(value) == 2 or new > value[2]
        right = cache or (larger and name not in ("touch", "delete", "take"))
    elif code == "HF_ERR_TOOBIG":
        right = name == "append" and value is not None and value[2] + call["argument"]["length"] > most
    else:
        right = False
    return state if right else None


def waited(call, state):
    version = call["result"]["version"]
    right = version >= state[1] if version else True
    return state if right and (state[0] is not None) == (version != 0) else None


def published(call, state, version):
    return grown(state, None if call["argument"].get("absent") else made_by(call), version)


def performed(call, state, most, cache):
    """The value and version after the call took effect in this state, or None if it cannot have."""
    name, value, crashed = call["operation"], state[0], call["crashed"]
    if name == "wait":
        return waited(call, state)
    if not crashed and call["result"]["code"] != "HF_OK":
        return answered(call, state, most, cache)
    version = None if crashed else call["result"].get("version")
    if name in ("get", "scan", "fill"):
        same = value == value_of(call["result"]["value"])
        return (value, max(version, state[1])) if same and value is not None and version >= state[1] else None
    if name == "touch":
        return state if value is not None else None
    if name == "incr":
        return incremented(call, state)
    if name == "append":
        return appended(call, state, most)
    if name == "publish":
        return published(call, state, version)
    expected = value_of(call["argument"].get("expected"))
    if name in ("delete", "take"):
        if name == "take" and not crashed:
            expected = value_of(call["result"]["value"])
        return (None, state[1]) if value is not None and expected in (None, value) else None
    if (name == "add" and value is not None) or (name == "replace" and value is None):
        return None
    if name == "cas" and (value is None or value != expected):
        return None
    return grown(state, made_by(call), version)


def applied(call, state, most, cache):
    """The state after the call took effect in this one, or None if it cannot have."""
    value, version, newest = state
    name, code = call["operation"], None if call["crashed"] else call["result"]["code"]
    writes = name not in READS and (code in (None, "HF_OK") or (name == "delete" and code == "HF_NOTFOUND"))
    if name == "publish" and writes and newest > call["invoked_ns"]:
        return None
    after = performed(call, (value, version), most, cache)
    return after and after + (max(newest, call["invoked_ns"]) if writes else newest,)


def choices(call, state, most, cache):
    after = applied(call, state, most, cache)
    if after is not None:
        yield after
    if cache and state[0] is not None:
        after = applied(call, (None,) + state[1:], most, cache)
        if after is not None:
            yield after


class Events:
    """Invocations and returns of calls in the order of time, as a list out of which calls can be taken and put back."""

    def __init__(self, calls):
        marks = sorted([(call["invoked_ns"], 0, i) for i, call in enumerate(calls)] +
                       [(call["returned_ns"], 1, i) for i, call in enumerate(calls)])
        count = len(marks)
        self.call = [mark[2] for mark in marks] + [-1]
        self.ends = [mark[1] for mark in marks] + [1]
        self.next = list(range(1, count + 1)) + [-1]
        self.previous = list(range(-1, count))
        self.first = 0
        self.end = count
        self.places = [[0, 0] for _ in calls]
        for place, mark in enumerate(marks):
            self.places[mark[2]][mark[1]] = place

    def unlink(self, place):
        before, after = self.previous[place], self.next[place]
        if before < 0:
            self.first = after
        else:
            self.next[before] = after
        self.previous[after] = before

    def relink(self, place):
        before, after = self.previous[place], self.next[place]
        if before < 0:
            self.first = place
        else:
            self.next[before] = place
        self.previous[after] = place

    def take(self, call):
        self.unlink(self.places[call][0])
        self.unlink(self.places[call][1])

    def put_back(self, call):
        self.relink(self.places[call][1])
        self.relink(self.places[call][0])


def search(calls, most, cache):
    """None if there is an order, or else the call at which the longest attempt ended."""
    events = Events(calls)
    state, taken, tried = (None, 0, 0), 0, set()
    path = []  # (call, state before, the choices that are left)
    place, deepest, stuck = events.first, -1, None
    for _ in range(LIMIT):
        if events.first == events.end:
            return None
        call = events.call[place]
        options = None
        if not events.ends[place]:
            options = choices(calls[call], state, most, cache)
        elif calls[call]["crashed"]:
            options = iter((state,))  # its time is over: it never happened
        if options is None:
            if len(path) > deepest:
                deepest, stuck = len(path), calls[call]
        else:
            path.append((call, state, options, place))
            events.take(call)
        # Take the next choice of the newest call; without one, put it back and look behind it.
        while options is not None or path:
            call, before, options, at = path[-1] if path else (None, None, None, None)
            if call is None:
                return stuck
            bit = 1 << call
            after = next((s for s in options if (taken | bit, s) not in tried), None)
            if after is not None:
                taken |= bit
                tried.add((taken, after))
                state, place = after, events.first
                break
            path.pop()
            events.put_back(call)
            taken &= ~bit
            state = before
            if not events.ends[at]:
                place = events.next[at]
                break
            options = None
        else:
            return stuck
    print(f"undecided after {LIMIT} steps")
    return stuck or calls[0]


def counts(call):
    if call["crashed"]:
        return call["operation"] not in READS
    return call["result"]["code"] not in ("HF_ERR_TIMEOUT", "HF_ERR_BUSY")


def check_key(key, calls, most, cache):
    calls = [call for call in calls if counts(call)]
    calls.sort(key=lambda call: call["invoked_ns"])
    wrong = search(calls, most, cache)
    if wrong is not None:
        print(f"{key}: no order explains {json.dumps(wrong)}")
    return wrong is None


def read(file):
    head = json.loads(next(file))
    if head.get("holdfast_history") != 1:
        raise ValueError("not a history")
    keys, rounds = {}, 0
    for line in file:
        call = json.loads(line)
        if "round" in call:
            rounds = call["round"]
        else:
            keys.setdefault(call["key"], []).append(call)
    return head, keys, rounds


def main():
    try:
        with open(sys.argv[1], encoding="ascii") as file:
            head, keys, rounds = read(file)
    except (IndexError, OSError, StopIteration, ValueError, KeyError) as error:
        print(f"check_history.py: {error}", file=sys.stderr)
        return 2
    most, cache = head["max_value"], head["mode"] == "cache"
    wrong = sum(not check_key(key, calls, most, cache) for key, calls in sorted(keys.items()))
    total = sum(len(calls) for calls in keys.values())
    print(f"{total} calls of {len(keys)} keys in {rounds} rounds: {wrong} keys cannot be explained")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
