#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Failing system calls: for every call of the library and every command of the tool, the nth system call of each kind fails, for
n = 1, 2, ... until the call succeeds without having met it. strace does the failing; libfiu that of allocations.

    syscalls.py TOOL PROGRAM [--full] [--only CASE] [--jobs N] [--allocations MODULE] [--verbose]

After each: a clear error or a right answer; the content is the old or the new one, by the tool itself, which also finds the store
sound; no descriptor, mapping, byte or file is left behind. --full: with every error that fits, on stores in other states, with
errors that stay, without O_TMPFILE, and under valgrind. Exit status: 0, 1 faults, 77 cannot run here."""
import argparse
import collections
import concurrent.futures
import os
import queue
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True  # nothing is left in the sources
# pylint: disable=wrong-import-position
from syscalls_case import FIU, Call, Place, ToolRun, make_image, run  # noqa: E402
from syscalls_tables import BEGUN_ANEW, COMMANDS, ERRORS, LASTING, NEVER_PASSED_OVER, UNDER_VALGRIND, WAITING  # noqa: E402

MOST = 80  # of one kind within a call; more means that it tries for ever


class Attack:
    """All that is done, and what came of it."""

    def __init__(self, options):
        self.options, self.places = options, queue.Queue()
        self.tally, self.by_call, self.messages = collections.Counter(), collections.defaultdict(collections.Counter), {}
        self.faults = []

    def note(self, case, what, outcome, faults, kind):
        self.tally[kind] += 1
        self.tally['refused' if case.has_failed(outcome) else 'went on'] += 1
        self.by_call[what.split()[0]]['refused' if case.has_failed(outcome) else 'went on'] += 1
        text = outcome.answer[3] if outcome.answer else outcome.err.strip()
        if case.has_failed(outcome):
            self.messages.setdefault(re.sub(r'/\S*/w\d+', '', text), '%s: %s' % (case, what))
        for fault in faults:
            self.faults.append('%s: %s: %s' % (case, what, fault))
            print('FAULT:', self.faults[-1], flush=True)

    def inject(self, place, case, name, errors, lasting=False):
        """n = 1, 2, ... of one system call; `errors` take turns."""
        enough = WAITING.get(case.title)
        for n in range(1, 2 if lasting else 1 + (enough or MOST)):
            error = errors[n % len(errors)]
            when = '%d%s' % (case.counts[name] + n, '+' if lasting else '')
            outcome = case.perform(place, ['%s:error=%s:when=%s' % (name, error, when)], not lasting)
            _, inside = case.window(outcome.trace)
            hits = [line for line in inside if '(INJECTED)' in line and line.startswith(name + '(')]
            if not hits and outcome.status is not None:
                return
            if 'FUTEX_WAKE' in ''.join(hits):  # it gives none of these errors, and the C library ends the process if it does
                continue
            what = '%s %s number %d%s' % (name, error, n, ' and all after it' if lasting else '')
            hit = '\n'.join(hits) if hits else None
            faults = case.judge(place, outcome, hit, error)
            faults += self.judge_decision(case, hit, n, error, outcome)
            self.note(case, what, outcome, faults, 'injections')
            if outcome.status is None:
                return
        if not lasting and not enough:
            self.faults.append('%s: %s fails, and it goes on and on' % (case, name))
            print('FAULT:', self.faults[-1], flush=True)

    @staticmethod
    def judge_decision(case, hit, n, error, outcome):
        """Was it right to go on, or to refuse? The second fsync is that of the directory, which is a best effort."""
        decides = NEVER_PASSED_OVER.match(str(hit)) or (n == 1 and str(hit).startswith('fsync'))
        failed, less = case.has_failed(outcome), 'read-only check' in outcome.err
        if not failed and not less and decides and error not in ('EINTR', 'EAGAIN'):
            return ['it went on all the same']
        opens = isinstance(case, Call) and case.title.startswith(('open', 'create'))
        if failed and opens and error == 'EINTR' and BEGUN_ANEW.match(str(hit)):
            return ['an interruption is not begun anew']
        return []

    def starve(self, place, case):
        """The nth allocation fails."""
        for n in range(1, 1000):
            outcome = case.perform(place, allocation=n, module=self.options.allocations)
            hit = '(INJECTED allocation)\n' in outcome.err
            outcome.err = outcome.err.replace('(INJECTED allocation)\n', '')
            if not hit and outcome.status is not None:
                return
            faults = case.judge(place, outcome, None, 'ENOMEM')
            if outcome.answer and outcome.answer[1] not in ('0', '-3'):
                faults.append('not HF_ERR_MEMORY: %s' % outcome.answer[0])
            self.note(case, 'allocation number %d' % n, outcome, faults, 'allocations')

    # ---- In parallel

    def in_place(self, function, *arguments):
        place = self.places.get()
        try:
            function(place, *arguments)
        except Exception as problem:  # a fault of the test, to be seen and counted
            self.faults.append('%s: %r' % (arguments[0], problem))
            print('FAULT:', self.faults[-1], flush=True)
        finally:
            self.places.put(place)

    def all_of(self, tasks):
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            for future in [pool.submit(self.in_place, *task) for task in tasks]:
                future.result()

    def tasks_of(self, case, turn):
        for name in sorted(case.inside):
            if name not in ERRORS:
                continue
            if case.blind and name == 'openat':
                continue
            if name == 'close' and isinstance(case, ToolRun) and case.definition.goes_on:  # strace keeps a pipe from being closed
                continue
            if case.under and name in ('mmap', 'munmap', 'read', 'write', 'futex'):  # valgrind needs them for itself
                continue
            if self.options.full and not case.under:
                yield from ((self.inject, case, name, [error]) for error in ERRORS[name])
            else:
                yield self.inject, case, name, ERRORS[name][turn % len(ERRORS[name]):] + ERRORS[name][:turn % len(ERRORS[name])]
            if LASTING[name] and not case.under and (self.options.full or isinstance(case, Call)):
                yield self.inject, case, name, LASTING[name], True
        if self.options.allocations and not case.under and not case.blind and case.state == 'used':
            yield self.starve, case

    def cases(self):
        full = self.options.full
        names = run([self.options.program, '--list'])[1].decode().split()
        wanted = [Call(self.options.program, name) for name in names] + [ToolRun(command) for command in COMMANDS]
        makers = ('create', 'copy', 'copy-replaces')
        wanted += [Call(self.options.program, name, blind=True) for name in makers]
        for state in ('fresh', 'moved'):
            wanted += [Call(self.options.program, name, state=state) for name in (names if full else ['open'])]
            wanted += [ToolRun(command, state=state) for command in COMMANDS if full or command.line == 'put {store} k1 new']
        if full:
            wanted += [ToolRun(command, blind=True) for command in COMMANDS if command.line.split()[0] in ('create', 'copy')]
        if full and not shutil.which('valgrind'):
            print('not done: runs under valgrind, which is not installed')
        elif full:
            under = ['valgrind', '-q', '--leak-check=full', '--show-leak-kinds=all', '--error-exitcode=99']
            wanted += [Call(self.options.program, name, under=under) for name in UNDER_VALGRIND]
        return [case for case in wanted if not self.options.only or str(case) in self.options.only]

    def everything(self):
        with tempfile.TemporaryDirectory(prefix='holdfast-syscalls.', dir=self.options.directory) as top:
            image = make_image(self.options.tool, top)
            for number in range(self.options.jobs):
                self.places.put(Place(self.options.tool, top, number, image))
            cases = self.cases()
            self.all_of([(lambda place, case: case.record(place), case) for case in cases])
            self.all_of([task for turn, case in enumerate(cases) for task in self.tasks_of(case, turn)])
            return cases


def can_trace():
    if not shutil.which('strace'):
        return 'strace is not installed'
    status, _, err = run(['strace', '-qq', '-o', '/dev/null', '-e', 'inject=getppid:error=EIO:when=1', 'true'])
    return None if status == 0 else 'strace may not trace here: ' + err.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('tool', type=os.path.abspath)
    parser.add_argument('program', type=os.path.abspath)
    parser.add_argument('--full', action='store_true', help='every error that fits, every state of the store, valgrind')
    parser.add_argument('--only', action='append', help='only the case of that name; may be given again')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time')
    parser.add_argument('--allocations', type=os.path.abspath, help='the module that makes allocations fail')
    parser.add_argument('--verbose', action='store_true', help='every message that was seen')
    options = parser.parse_args()
    options.directory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    missing = can_trace()
    if missing:
        print('skipped:', missing)
        return 77
    if options.allocations and not os.path.exists(FIU):
        print('not done: failing allocations, for fiu-utils is not installed')
        options.allocations = None
    attack = Attack(options)
    cases = attack.everything()
    if options.verbose:
        for message, first in sorted(attack.messages.items()):
            print('%s\n    %s' % (message, first))
    for name, counts in sorted(attack.by_call.items()):
        print('%-16s %6d refused %6d went on' % (name, counts['refused'], counts['went on']))
    calls = {case.title for case in cases if isinstance(case, Call)}
    silent = {case.title for case in cases if isinstance(case, Call) and not set(case.inside) & set(ERRORS)}
    commands = {case.title for case in cases if isinstance(case, ToolRun)}
    if attack.tally['injections'] == 0:
        attack.faults.append('no system call was made to fail')
        print('FAULT:', attack.faults[-1])
    print('proved: failing system calls: %d ways through the library (%d of them make none), %d commands: %d system calls and %d '
          'allocations failed, %d refused, %d went on, %d faults'
          % (len(calls), len(silent), len(commands), attack.tally['injections'], attack.tally['allocations'],
             attack.tally['refused'], attack.tally['went on'], len(attack.faults)))
    return 1 if attack.faults else 0


if __name__ == '__main__':
    sys.exit(main())
