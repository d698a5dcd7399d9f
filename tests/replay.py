#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replays real traces against the figures that eviction must reach, and prints each cell beside its bound.

    replay.py HOLDFAST TRACES [--round BYTES] [--only NAME[,NAME...]] [--short]

TRACES is a directory with NAME.txt.xz; without one (also in HOLDFAST_TRACES) it says so and exits with 77. --short takes the cells
that are done in a second or two. --round 32 takes the footprint as the sum of what entries take in this store, which is stricter
than that of the figures: they round up to 64. Exits with 1 if any cell is above its bound."""
import argparse
import json
import os
import subprocess
import sys

# Trace, share of the footprint, then ratios of misses: S3-FIFO without holes; this policy as simulated, with one stripe, 16 and
# 64, and one where 30 % of the hits are followed by a put.
FIGURES = """
oltp      1 .5365 .5369 .5743 .5783 .5312
oltp      5 .3801 .3813 .3872 .4016 .3757
oltp     10 .3226 .3224 .3239 .3308 .3143
oltp     20 .2742 .2751 .2760 .2775 .2633
orm_busy  1 .2475 .2480 .2509 .2533 .2490
orm_busy  5 .1482 .1456 .1493 .1531 .1456
orm_busy 10 .1114 .1079 .1098 .1134 .1078
orm_busy 20 .0726 .0701 .0706 .0722 .0692
web07     5 .4569 .4576 .4808 .4855 .4544
web07    10 .4202 .4136 .4304 .4361 .4057
web07    20 .3750 .3703 .3750 .3847 .3575
web12     5 .3440 .3505 .3791 .3874 .3500
web12    10 .2744 .2745 .2944 .2997 .2744
web12    20 .2187 .2170 .2263 .2330 .2128
cphys     1 .8229 .8219 .8280 .8255 .8187
cphys     5 .8031 .7979 .7944 .7929 .7870
cphys    10 .7357 .7404 .7392 .7372 .7397
cphys    20 .6754 .6806 .6753 .6777 .6893
"""
COLUMNS = (("1 stripe", [], 95), ("16 stripes", ["--stripes", "16"], 0), ("64 stripes", ["--stripes", "64"], 0),
           ("overwrites", ["--overwrite", "30%"], 90))
TOLERANCE = 1.03
SHORT = {("web07", "5"), ("web12", "5")}


def replay(options, trace, share, extra):
    path = os.path.join(options.traces, trace + ".txt.xz")
    command = [options.holdfast, "replay", path, "--heap", share + "%", "--round", str(options.round), "--json"] + extra
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    return json.loads(done.stdout)


def row(options, line, ours):
    """Prints a line of the table; how many of its cells are above their bound."""
    trace, share, ideal, *bounds = line.split()
    cells, bad = [], 0
    for (name, extra, live), bound in zip(COLUMNS, bounds):
        if options.short and name != "1 stripe":
            continue
        got = replay(options, trace, share, extra)
        wrong = got["miss_ratio"] > float(bound) * TOLERANCE or got["live_share"] * 100 < live
        bad += wrong
        cells.append(f"{got['miss_ratio']:.4f} ({got['live_share'] * 100:.0f}) {float(bound):.4f}{' MISSED' if wrong else ''}")
        if name == "1 stripe":
            ours.append((got["miss_ratio"], float(ideal)))
    print(f"| {trace} | {share} | {float(ideal):.4f} | " + " | ".join(cells) + " |", flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("holdfast")
    parser.add_argument("traces", nargs="?", default=os.environ.get("HOLDFAST_TRACES"))
    parser.add_argument("--round", type=int, default=64)
    parser.add_argument("--only", default="")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if not options.traces or not os.path.isdir(options.traces):
        print("skipped: real traces are not here: name their directory, or set HOLDFAST_TRACES")
        return 77
    only = set(filter(None, options.only.split(",")))
    print("| trace | heap, % | S3-FIFO | " + " | ".join(name + ": misses (live, %) figure" for name, _, _ in COLUMNS) + " |")
    bad, ours = 0, []
    for line in FIGURES.strip().splitlines():
        trace, share = line.split()[:2]
        if (not only or trace in only) and (not options.short or (trace, share) in SHORT):
            bad += row(options, line, ours)
    mean, ideal = (sum(pair[i] for pair in ours) / len(ours) for i in (0, 1))
    print(f"mean of the misses with one stripe: {mean:.4f}, of S3-FIFO {ideal:.4f}")
    print(f"{len(ours)} rows, {bad} cells missed (bound: {TOLERANCE} x the figure; live 95 %, with overwrites 90 %)")
    return 1 if bad or mean > ideal else 0


if __name__ == "__main__":
    sys.exit(main())
