# SPDX-License-Identifier: MIT
"""For syscalls.py: a call of the library or a command of the tool as it runs under strace, on a store in a known state, and what
must hold of its answer, of the files and of the content. Knows nothing of which system calls are to fail, or how often."""
import collections
import errno
import os
import re
import signal
import subprocess
import sys

from syscalls_tables import CHANGES, ERRORS, NOTHING, ONE, OWN_WORDS

LONGEST = 20  # seconds; six times as many under valgrind
ENTRIES = [('k%d' % i, 'v%d' % i) for i in range(1, 9)] + [('n', '41'), ('big', 'x' * 3000)]
TRACED = ','.join('?' + name for name in sorted(set(ERRORS) | {'prctl', 'execve'}))
FIU = '/usr/lib/fiu/fiu_posix_preload.so'


def run(command, **options):
    """Exit status (None: it hung), standard output and error."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               stdin=subprocess.PIPE, env=options.get('env'))
    try:
        out, err = process.communicate(options.get('stdin', b''), timeout=options.get('longest', LONGEST))
        return process.returncode, out, err.decode('utf-8', 'replace')
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, b'', 'hung'


def must(tool, *arguments):
    status, out, err = run([tool, *arguments])
    if status != 0:
        sys.exit('syscalls.py: holdfast %s: %s' % (' '.join(arguments), err))
    return out.decode()


def make_image(tool, top):
    """A store with entries, as a copy leaves it: nobody has opened it yet. One for all places, so that all answer alike."""
    store, copy = os.path.join(top, 'store'), os.path.join(top, 'copy')
    must(tool, 'create', store, '--capacity', '1M', '--stripes', '2', '--max-value', '4K', '--file-mode', '0640')
    for key, value in ENTRIES:
        must(tool, 'put', store, key, value)
    must(tool, 'put', store, 'timed', 'x', '--ttl', '30d', '--flags', '7')
    must(tool, 'copy', store, copy)
    return Place.read(copy)


class Place:
    """A directory with a store that can be put back into a state, byte by byte in the same file."""

    def __init__(self, tool, top, number, image):
        self.tool, self.top = tool, os.path.join(top, 'w%d' % number)
        self.scratch = os.path.join(self.top, 'scratch')
        self.work = os.path.join(self.top, 'work')
        self.log = os.path.join(self.top, 'log')
        self.store, self.made = os.path.join(self.work, 'store'), os.path.join(self.work, 'made')
        self.images = {}
        for directory in (self.top, self.scratch, self.work):
            os.mkdir(directory)
        os.mkdir(self.path('tree'))
        for name, text in (('tree/k1', 'from a file'), ('tree/k9', 'another'), ('input', LINES), ('db', DB)):
            with open(self.path(name), 'w', encoding='ascii') as file:
                file.write(text)
        self.images['scratch'] = self.settle(os.path.join(self.scratch, 'store'), image)
        self.images['used'] = self.settle(self.store, image)
        self.images['moved'], self.images['fresh'] = self.images['scratch'], image

    def path(self, name):
        return os.path.join(self.top, name)

    def must(self, *arguments):
        return must(self.tool, *arguments)

    def settle(self, path, image):
        """A store that a writer has opened here, in this file."""
        with open(path, 'wb') as file:
            file.write(image)
        os.chmod(path, 0o640)
        self.must('check', path)
        return self.read(path)

    @staticmethod
    def read(path):
        with open(path, 'rb') as file:
            return file.read()

    def put_back(self, state, before_made):
        for path, image in ((self.store, self.images[state]), (os.path.join(self.scratch, 'store'), self.images['scratch'])):
            with open(path, 'r+b') as file:
                file.write(image)
        for name in self.names():
            if name != 'store':
                os.unlink(os.path.join(self.work, name))
        if before_made:
            with open(self.made, 'wb') as file:
                file.write(before_made)

    def names(self):
        return sorted(os.listdir(self.work))

    def dump(self, path):
        """The entries; an expiry that is not that of the entry 'timed' depends on the clock."""
        lines = self.must('dump', '--sort', path).splitlines()[1:-1]
        return [line if '"timed"' in line else re.sub(r'"expires_ms":\d+', '"expires_ms":"soon"', line) for line in lines]


LINES = '{"key":"k1","value":"loaded"}\n{"key":"k9","value":"loaded"}\n'
DB = 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n k1\n loaded\n k9\n loaded\nDATA=END\n'


class Outcome:
    """What one run did."""

    def __init__(self, status, out, err, trace):
        self.status, self.out, self.err, self.trace = status, out, err, trace
        self.answer = None  # the fields of PROGRAM's line


class Case:
    """One call of the library or one command, on a store in one state."""

    def __init__(self, name, state='used', blind=False, under=()):
        self.title, self.state, self.blind, self.under = name, state, blind, list(under)
        self.kept = b'here before\0' if name.startswith('copy') and 'replace' in name else None  # what {made} holds before
        self.counts, self.inside, self.tmpfile = {}, {}, 0
        self.clean = self.new = self.old = self.new_names = None

    def __str__(self):
        return self.title + ('' if self.state == 'used' else ' [%s]' % self.state) + (' [no O_TMPFILE]' if self.blind else '') + \
            (' [valgrind]' if self.under else '')

    def environment(self, allocation, module):
        environment = dict(os.environ, GLIBC_TUNABLES='glibc.malloc.tcache_count=0')
        if allocation:
            environment.update(HOLDFAST_FAILING_ALLOCATION=str(allocation), LD_PRELOAD='libfiu.so.0 %s %s' % (FIU, module))
        return environment

    def perform(self, place, injected=(), once=True, allocation=0, module=None):
        place.put_back(self.state, self.made_before())
        injected = list(injected)
        if self.blind:
            injected.append('openat:error=EOPNOTSUPP:when=%d' % self.tmpfile)
        command = self.under + self.command(place, once)
        if not allocation:
            strace = ['strace', '-qq', '-o', place.log, '-e', 'trace=' + TRACED]
            for expression in injected:
                strace += ['-e', 'inject=' + expression]
            command = strace + command
        longest = LONGEST * 6 if self.under else LONGEST
        status, out, err = run(command, stdin=self.stdin(), env=self.environment(allocation, module), longest=longest)
        trace = [] if allocation else place.read(place.log).decode('utf-8', 'replace').splitlines()
        return self.read_outcome(Outcome(status, out.replace(place.top.encode(), b'TOP'), err, trace))

    def record(self, place):
        """A run without a failure: what it answers, and which system calls it makes inside the call."""
        if self.blind:
            self.blind, blind = False, True
            self.record(place)
            self.blind = blind
            before, inside = self.window(self.clean.trace)
            opens = [line for line in inside if line.startswith('openat(')]
            first = next(i for i, line in enumerate(opens, 1) if 'O_TMPFILE' in line)
            self.tmpfile = first + sum(line.startswith('openat(') for line in before)
        place.put_back(self.state, None)
        self.old = place.dump(place.store)
        self.clean = self.perform(place)
        faults = self.judge_answer(self.clean, None, None)
        if self.clean.status != 0 or faults:
            sys.exit('syscalls.py: %s fails without an injection: %s %s %s' % (self, self.clean.status, self.clean.err, faults))
        before, inside = self.window(self.clean.trace)
        self.counts = collections.Counter(line.split('(')[0] for line in before)
        self.inside = collections.Counter(line.split('(')[0] for line in inside)
        self.new, self.new_names = place.dump(place.store), place.names()

    def window(self, trace):
        begin = next((i for i, line in enumerate(trace) if self.is_begin(line)), len(trace))
        end = next((i for i, line in enumerate(trace) if self.is_end(line)), len(trace))
        return trace[:begin], trace[begin:end]

    # ---- What must hold afterwards

    def judge(self, place, outcome, hit, error):
        if outcome.status is None:
            return ['hangs']
        if outcome.status < 0 or outcome.status > 100:
            return ['crashes: status %d: %s' % (outcome.status, outcome.err.strip()[-300:])]
        failed = self.has_failed(outcome)
        faults = self.judge_answer(outcome, hit, error)
        return faults + self.judge_files(place, failed, hit) + self.judge_content(place, failed, hit)

    def judge_content(self, place, failed, hit):
        if place.read(place.store) == place.images[self.state]:
            return [] if failed or self.new == self.old else ['it succeeded, but nothing was changed']
        status, _, err = run([place.tool, 'check', place.store])
        if status != 0 or (err and self.state != 'moved'):
            return ['check of the store: %s %s' % (status, err)]
        now = place.dump(place.store)
        if not failed:
            return [] if now == self.new else ['it succeeded, but the content is not the new one']
        if self.change == NOTHING or (self.change == ONE and not self.may_be_done(hit)):
            return [] if now == self.old else ['it failed, but the content is not the old one']
        if self.change == ONE:
            return [] if now in (self.old, self.new) else ['the content is neither old nor new']
        kept = set(self.old) & set(self.new)
        return [] if kept <= set(now) <= set(self.old) | set(self.new) else ['the content is between neither old and new']

    def judge_files(self, place, failed, hit):
        names = place.names()
        before = ['made', 'store'] if self.kept or self.title == 'open_fd-creates' else ['store']
        if names not in ([before, self.new_names] if failed else [self.new_names]):
            return ['files are left or lost: %s' % names]
        if 'made' not in names or (failed and (self.title == 'open_fd-creates' or place.read(place.made) == self.kept)):
            return []
        status, _, err = run([place.tool, 'check', place.made])
        if status != 0:
            return ['what was made is not whole: %s' % err]
        if self.title.startswith('copy') and place.dump(place.made) != self.old:
            return ['the copy is not the store']
        mode = os.stat(place.made).st_mode & 0o777
        if hit is None:  # libfiu's open loses the mode of O_TMPFILE
            return []
        return [] if not self.title.startswith('copy') or mode == 0o640 else ['the copy has mode %o' % mode]

    @staticmethod
    def gives_reason(text, error):
        return error is None or os.strerror(getattr(errno, error)) in text or any(w in text for w in OWN_WORDS)


class Call(Case):
    """A call of the library, by PROGRAM."""

    def __init__(self, program, name, **options):
        super().__init__(name, **options)
        self.program, self.change = program, CHANGES.get(name, NOTHING)

    @staticmethod
    def made_before():
        return None  # PROGRAM makes it

    def command(self, place, once):
        return [self.program, self.title, place.work, place.scratch] + ['once'] * once

    @staticmethod
    def stdin():
        return b''

    @staticmethod
    def is_begin(line):
        return 'prctl(PR_SET_NAME, "act:begin"' in line

    @staticmethod
    def is_end(line):
        return 'prctl(PR_SET_NAME, "act:end"' in line

    @staticmethod
    def read_outcome(outcome):
        fields = outcome.out.decode('utf-8', 'replace').rstrip('\n').split('\t')
        outcome.answer = fields if len(fields) == 8 else None
        return outcome

    @staticmethod
    def has_failed(outcome):
        return outcome.answer is None or int(outcome.answer[1]) < 0

    @staticmethod
    def may_be_done(hit):
        return False

    def judge_answer(self, outcome, hit, error):
        if outcome.answer is None:
            return ['no answer: status %s: %s' % (outcome.status, outcome.err.strip()[-300:])]
        name, number, number_of_error, why, *grown, wrong = outcome.answer
        faults = [] if wrong == '-' else ['does not hold: ' + wrong]
        if int(number) < 0 and not self.gives_reason(why, error):
            faults.append('the reason is not told: %s: %s' % (name, why))
        if name == 'HF_ERR_SYSTEM' and error is not None and int(number_of_error) != getattr(errno, error):
            faults.append('errno is %s' % errno.errorcode.get(int(number_of_error)))
        if int(number) > 0:
            faults.append('an answer instead of a failure: ' + name)
        # strace keeps a failing close and munmap from being done at all; valgrind has a memory of its own.
        under = bool(self.under)
        allowed = ['close(' in str(hit)[:6], under or 'munmap(' in str(hit)[:7], under]
        what = ('descriptors', 'mapped bytes', 'allocated bytes')
        faults += ['%s have grown by %s' % (w, g) for w, g, ok in zip(what, grown, allowed) if int(g) > 0 and not ok]
        return faults


class ToolRun(Case):
    """A command of the tool."""

    def __init__(self, command, **options):
        super().__init__(command.name, **options)
        self.definition, self.change = command, command.change

    def made_before(self):
        return self.kept

    def command(self, place, _):
        names = {'store': place.store, 'made': place.made, 'input': place.path('input'), 'db': place.path('db'),
                 'tree': place.path('tree')}
        return [place.tool] + [word.format(**names) for word in self.definition.line.split()]

    def stdin(self):
        return self.definition.stdin

    @staticmethod
    def is_begin(line):
        return line.startswith('fcntl(0, F_GETFD')

    @staticmethod
    def is_end(line):
        return line.startswith('execve("/bin/echo"')  # it has become its command

    @staticmethod
    def read_outcome(outcome):
        return outcome

    def has_failed(self, outcome):
        return outcome.status != 0 or (self.definition.goes_on and 'holdfast: ' in outcome.err)

    def plain(self, out):
        """Whether a writer has verified the store is told as far as it can be found out."""
        return re.sub(rb'(?m)^verified .*', b'', out) if self.title.startswith('info') else out

    @staticmethod
    def may_be_done(hit):
        return hit is not None and re.search(r'^(write|close|newfstatat)\(1[,)]', hit, re.M) is not None

    def judge_answer(self, outcome, hit, error):
        if outcome.status == 0:
            told = self.title.startswith('check') and 'read-only check' in outcome.err
            same = self.clean is None or self.plain(outcome.out) == self.plain(self.clean.out)
            return [] if same or told else ['it succeeded with a wrong output: %s' % outcome.out]
        if outcome.status != 3:
            return ['exit status %d' % outcome.status]
        if hit is not None and ('write(2,' in hit or (error == 'EPIPE' and 'write(1,' in hit)):
            return []
        if not re.search(r'^holdfast: (/|standard (in|out)put|out of memory)', outcome.err, re.M):
            return ['the message names nothing: %r' % outcome.err]
        return [] if self.gives_reason(outcome.err, error) else ['the reason is not told: %r' % outcome.err]
