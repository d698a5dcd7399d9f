# SPDX-License-Identifier: MIT
"""What bench-peers measured, as a table for the README and a picture; and whether it is as fast as it has to be.

A ratio is taken within each repeat, where both stores were measured one after the other; what is told is the median of all.
"""
import argparse
import json
import statistics
import sys

import picture

OWN = "holdfast"
SMALL = "Holdfast (small pages)"
NAMES = {OWN: "Holdfast", SMALL: "Holdfast, small pages"}
FILES = ["Tkrzw", "Boost.Interprocess", "TDB", "LMDB", "Berkeley DB", "SQLite"]
SHARED = FILES[1:] + ["Redis", "memcached"]
FIXED = ["Boost (fixed size)"]  # not a store of any keys and values: told apart
# The same store in another configuration that is quicker for some work only: each column tells the quicker one.
VARIANTS = {"Boost (sharable)": "Boost.Interprocess", "Boost (sharable, fixed size)": "Boost (fixed size)"}
DETAILS = "tools/bench/peers/settings.md"
COLUMNS = {
    ("get", 1): "get",
    ("chase", 1): "get, each key from the value before",
    ("put", 1): "put (replace)",
    ("mixed", 1): "95 % get, 5 % put",
    ("get", 2): "get, two processes",
    ("put", 2): "put, two",
    ("mixed", 2): "95/5, two",
}
BEGIN = "<!-- tools/bench-peers fills in what is between this line and the next mark -->"
END = "<!-- end of what tools/bench-peers fills in -->"

# What each of them does that Holdfast does not.
BETTER = {
    "Tkrzw": "a file that grows and less room an entry; ordered stores, iterators and more of the same family",
    "Boost.Interprocess": "any C++ container, ordered ones too, used in place and without a copy",
    "Boost (fixed size)": "the same, and the least work for entries of one size known when compiling",
    "TDB": "a file that grows, transactions",
    "LMDB": "ordered keys, range scans, transactions over many keys, durable commits, reads of one snapshot without a copy",
    "Berkeley DB": "ordered keys, range scans, durable transactions, joins and replication",
    "SQLite": "SQL, indexes, durable transactions, a file format promised for decades",
    "Redis": "many machines, lists, sets and streams, a choice of eviction policies, persistence, replication",
    "memcached": "many machines, clients in every language that cannot hurt the store",
}

# Least ratios: (what is told, the column, against whom).
REQUIRED = [
    ("get, the fastest of the files", ("get", 1), FILES, 2.5),
    ("get, a map of entries of one size", ("get", 1), FIXED, 2.5),
    ("get, TDB", ("get", 1), ["TDB"], 3),
    ("get, LMDB", ("get", 1), ["LMDB"], 4),
    ("get, Redis", ("get", 1), ["Redis"], 30),
    ("get, memcached", ("get", 1), ["memcached"], 30),
    ("put, the fastest that several processes can write", ("put", 1), SHARED, 2.2),
    ("put, a map of entries of one size", ("put", 1), FIXED, 2.2),
]


class Figures:
    """The figures of one run."""

    def __init__(self, data):
        self.data = data
        self.engines = {engine["name"]: engine for engine in data["engines"]}
        self.found = {}
        for result in data["results"]:
            column = (result["workload"], result["processes"])
            self.found.setdefault((result["engine"], column), {})[result["repeat"]] = result
        self.better = {}  # name: (the other configuration, the columns where that was quicker)
        for variant, name in VARIANTS.items():
            if variant in self.engines and name in self.engines:
                self.better[name] = (self.engines.pop(variant), self.take_better(name, variant))
        self.order = sorted(self.engines, key=lambda name: (name != OWN, name != SMALL, self.ns(name, ("get", 1))))
        self.peers = [name for name in self.order if name not in NAMES]
        self.has_small = SMALL in self.engines

    def take_better(self, name, variant):
        """The figures of the variant in place of the store's own, where they are better."""
        columns = [column for engine, column in self.found if engine == variant and self.ns(variant, column) < self.ns(name, column)]
        for column in columns:
            self.found[name, column] = self.found[variant, column]
        return columns

    def median(self, engine, column, field):
        """Of all repeats; None if it was not measured."""
        repeats = self.found.get((engine, column))
        return statistics.median(result[field] for result in repeats.values()) if repeats else None

    def ns(self, engine, column):
        return self.median(engine, column, "ns")

    def ratio(self, engine, column, field="ns", own_name=OWN):
        """How many times longer it takes than Holdfast."""
        own = self.found.get((own_name, column), {})
        other = self.found.get((engine, column), {})
        ratios = [other[repeat][field] / own[repeat][field] for repeat in other if repeat in own]
        return statistics.median(ratios) if ratios else None

    def nearest(self, engines, column, field="ns", own_name=OWN):
        """The least ratio of those that were measured, and whose it is; None: of none."""
        ratios = [(self.ratio(name, column, field, own_name), name) for name in engines if name in self.engines]
        return min((pair for pair in ratios if pair[0] is not None), default=None)


def shown_name(name):
    return NAMES.get(name, name)


def shown_ratio(ratio):
    return f"{ratio:.2f}×" if ratio < 1 else f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"


def cell(figures, name, column):
    ns = figures.ns(name, column)
    if ns is None:
        return "–"
    return f"**{ns:,.0f}**" if name == OWN else f"{ns:,.0f} ({shown_ratio(figures.ratio(name, column))})"


def table(figures):
    """Nanoseconds of an operation."""
    heads = ["ns an operation", *COLUMNS.values(), "bytes an entry"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name in figures.order:
        cells = [cell(figures, name, column) for column in COLUMNS]
        size = figures.engines[name]["bytes"] / figures.data["entries"]
        shown = shown_name(name)
        lines.append(f"| {f'**{shown}**' if name == OWN else shown} | " + " | ".join(cells) + f" | {size:,.0f} |")
    return "\n".join(lines)


def about_pages(figures):
    """What the row of small pages is, and how near the others come to either row, by column."""
    if not figures.has_small:
        return []
    near = []
    for column, title in COLUMNS.items():
        own, small = figures.nearest(figures.peers, column), figures.nearest(figures.peers, column, own_name=SMALL)
        if own and small:
            near.append(f"{title}: {shown_ratio(own[0])} ({shown_ratio(small[0])}), {own[1]}")
    lines = [f"*{shown_name(SMALL)}*: a new store in tmpfs asks the kernel for pages of 2 MiB, as of the others only memcached does "
             "(by -L); this row is Holdfast in the small pages that all the files have."]
    if near:
        lines[0] += (" The nearest of the others takes, times as long as Holdfast, and in brackets as Holdfast in small pages: "
                     f"{'; '.join(near)}.")
    return [*lines, ""]


def about_many(figures):
    """Several keys at once, of those that offer it."""
    column = ("many", 1)
    cells = [f"{shown_name(name)} {cell(figures, name, column)}" for name in figures.order if figures.ns(name, column)]
    if len(cells) < 2:
        return []
    return [f"With {figures.data['many_keys']} keys at once, where a store offers that (hf_get_many, a pipeline, memcached_mget), "
            f"ns a key: {'; '.join(cells)}.", ""]


def summary(figures):
    """The section of the README below its heading and picture."""
    data, machine = figures.data, figures.data["machine"]
    missing = f" Not measured, since the packages were missing: {data['missing']}." if data["missing"] else ""
    return "\n".join([
        f"{data['entries']:,} entries of a {data['key_size']}-byte key and a {data['value_size']}-byte value in tmpfs, keys "
        f"drawn evenly; every store measured next to Holdfast in the same run, {data['repeats']} times {data['seconds']:g} s each; "
        "medians, and in brackets how many times longer than Holdfast it took (median of the ratios within a repeat). With two "
        "processes at once, the time each of them sees.",
        "",
        table(figures),
        "",
        *about_pages(figures),
        *about_many(figures),
        "Each is configured as its own documentation says for a cache or table that processes of one machine share and that need "
        f"not survive power loss: [what each was told, and what it is better at]({DETAILS}). {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['kernel']}, {machine['libc']}, {machine['compiler']}, {machine['build']}; load before "
        f"the run {machine['load']:.1f}.{missing} `tools/bench-peers` does all of it again.",
    ]) + "\n"


def details(figures):
    """What each was told, and what it is better at: a file."""
    lines = [
        "# Beside other stores",
        "",
        "Written by `tools/bench-peers`, with the figures in the README. Each is configured as its own documentation says for a",
        "cache or table that processes of one machine share and that need not survive power loss; where it says so stands in the",
        "source files beside this one.",
        "",
    ]
    for name in figures.order:
        engine = figures.engines[name]
        version = {OWN: f"{engine['about']}: ", SMALL: f"{shown_name(SMALL)}: "}.get(name, "")
        version, _, told = f"{version}{engine['settings']}".partition(": ")
        if name in figures.better:
            other, columns = figures.better[name]
            titles = ", ".join(title for column, title in COLUMNS.items() if column in columns) or "none"
            told += f"; measured once more with {other['about']}: each column tells the quicker of both (that one: {titles})"
        lines.append(f"- **{version}**: {told}." + (f" Better at: {BETTER[name]}." if name in BETTER else ""))
    return "\n".join(lines) + "\n"


def told_ratio(figures, engines, column, field="ns"):
    """The least ratio to Holdfast, and in brackets that to Holdfast in small pages; and whose the first is."""
    ratio, name = figures.nearest(engines, column, field)
    small = figures.nearest(engines, column, field, SMALL)
    return f"{ratio:.2f}" + (f" [{small[0]:.2f}]" if small else ""), name


def required(figures):
    """One line a ratio that has to hold."""
    lines = ["Ratios to Holdfast" + (" [to Holdfast in small pages]" if figures.has_small else "") +
             "; the second is by the median chunk of operations, which a busy machine spoils less"]
    for what, column, names, least in REQUIRED:
        if not figures.nearest(names, column):
            lines.append(f"not measured: {what}")
            continue
        ratio, name = told_ratio(figures, names, column)
        typical, _ = told_ratio(figures, names, column, "typical_ns")
        holds = figures.nearest(names, column)[0] >= least
        lines.append(f"{'holds' if holds else 'DOES NOT HOLD'}: {what}: {ratio} ({name}), at least {least}; {typical}")
    for column, title in COLUMNS.items():
        if column[1] > 1 and figures.nearest(SHARED, column):
            ratio, name = told_ratio(figures, SHARED, column)
            typical, _ = told_ratio(figures, SHARED, column, "typical_ns")
            lines.append(f"told: {title}, the fastest: {ratio} ({name}); {typical}")
    return lines


def fill_in(path, section):
    """Puts the section between the two marks of a file."""
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"report.py: {path} does not hold the two marks:\n{BEGIN}\n{END}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{section}{end}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", help="JSON of bench-peers")
    parser.add_argument("--svg", help="the picture")
    parser.add_argument("--table", help="the section, as a file")
    parser.add_argument("--details", help="what each store was told, as a file")
    parser.add_argument("--readme", help="a file with the two marks that the section goes between")
    arguments = parser.parse_args()
    with open(arguments.figures, encoding="utf-8") as file:
        figures = Figures(json.load(file))
    if arguments.svg:
        with open(arguments.svg, "w", encoding="utf-8") as file:
            mark = picture.Mark(SMALL, "in small pages") if figures.has_small else None
            file.write(picture.draw(figures, [OWN, *figures.peers], shown_name, mark))
    if arguments.table:
        with open(arguments.table, "w", encoding="utf-8") as file:
            file.write(summary(figures))
    if arguments.details:
        with open(arguments.details, "w", encoding="utf-8") as file:
            file.write(details(figures))
    if arguments.readme:
        fill_in(arguments.readme, "![Operations a second of each store](tools/bench/peers.svg)\n\n" + summary(figures))
    print(table(figures))
    print("\n".join(required(figures)))


if __name__ == "__main__":
    main()
