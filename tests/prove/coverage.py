#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Line and branch coverage of src/, from what `llvm-cov export` says of the library.

A condition counts twice: once for being true, once for being false. What stands in a header counts once, not once for each file
that includes it. Left out is what only the test build has: the conditions of HF_POINT and HF_PLANTED (fault.h), those inside of
a block that a planted bug guards or asked only when one is planted, and what stands between #ifdef HF_TEST and its end. Nothing
else is left out.

    coverage.py EXPORT.json ROOT [--missing]      the last line is "lines branches", in percent; --missing lists what was not reached
"""
import json
import os
import re
import sys


def load(path, root):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)["data"][0]
    source = os.path.join(os.path.realpath(root), "src") + os.sep
    return data, source


def lines_for_tests(path):
    """The lines of a source inside `if (HF_PLANTED(...)) {` blocks and #ifdef HF_TEST, and those with `HF_PLANTED(...) && more`."""
    end, lines = None, set()
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if end is not None:
                lines.add(number)
                if line.startswith(end):
                    end = None
            elif line.strip().startswith("if (HF_PLANTED(") and line.rstrip().endswith("{"):
                end = line[: len(line) - len(line.lstrip())] + "}"
                lines.add(number)
            elif re.search(r"(?<!!)HF_PLANTED\(\w+\) &&|!HF_PLANTED\(\w+\) \|\|", line):
                lines.add(number)
            elif line.startswith("#ifdef HF_TEST"):
                end = "#e"
    return lines


def text_of(path, line, column, end_line, end_column):
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()[line - 1 : end_line]
    lines[-1] = lines[-1][: end_column - 1]
    lines[0] = lines[0][column - 1 :]
    return " ".join(part.strip() for part in lines)


def branches(data, source):
    """{(file, function, macro expansion, place): [times true, times false]}, summed over the files that include a header."""
    found, for_tests = {}, {}
    for function in data["functions"]:
        files = [os.path.realpath(name) for name in function["filenames"]]
        if not files[0].startswith(source):
            continue
        name = function["name"].split(":")[-1]
        for line, column, end_line, end_column, true, false, file, _, _ in function["branches"]:
            path = files[file]
            if path.endswith("/fault.h"):
                continue
            if path not in for_tests:
                for_tests[path] = lines_for_tests(path)
            if line in for_tests[path] or text_of(path, line, column, end_line, end_column) == "!HF_PLANTED":
                continue
            key = (path, name, file, line, column, end_line, end_column)
            times = found.setdefault(key, [0, 0])
            times[0] += true
            times[1] += false
    return found


def main():
    data, source = load(sys.argv[1], sys.argv[2])
    found = branches(data, source)
    lines = [file["summary"]["lines"] for file in data["files"] if os.path.realpath(file["filename"]).startswith(source)]
    line_count, line_covered = sum(each["count"] for each in lines), sum(each["covered"] for each in lines)
    per_file = {}
    for key, times in sorted(found.items()):
        name = os.path.basename(key[0])
        sides = per_file.setdefault(name, [0, 0])
        sides[0] += 2
        sides[1] += (times[0] > 0) + (times[1] > 0)
        if "--missing" in sys.argv and not (times[0] and times[1]):
            path, function, _, line, column, end_line, end_column = key
            sides_missing = "never reached" if not times[0] and not times[1] else "never false" if times[0] else "never true"
            print(f"{name}:{line}: {function}: {sides_missing}: {text_of(path, line, column, end_line, end_column)}")
    count, covered = (sum(sides[i] for sides in per_file.values()) for i in (0, 1))
    if not count or not line_count:
        sys.exit("coverage.py: nothing was measured below " + source)
    for name, (of, taken) in sorted(per_file.items(), key=lambda item: item[1][1] / item[1][0]):
        print(f"{name:<14} {taken:>4} of {of:>4} branches {100 * taken / of:6.1f} %")
    print(f"lines {line_covered} of {line_count}, branches {covered} of {count}")
    print(f"{100 * line_covered / line_count:.1f} {100 * covered / count:.1f}")


main()
