# SPDX-License-Identifier: MIT
"""What syscalls.py attacks: which errors fit which system call, the commands, and what a message may say instead of the
system's own words."""
import re

# Each system call of the attack with the errors that the kernel, a file system or a security module may give for it.
ERRORS = {
    'openat': 'EINTR EMFILE ENFILE ENOMEM EACCES EIO ENOSPC EDQUOT EPERM',
    'newfstatat': 'EIO ENOMEM EACCES EINTR',
    'statx': 'EIO ENOMEM EACCES EPERM EINTR',
    'fstatfs': 'EINTR EIO ENOMEM',
    'access': 'EACCES EIO ENOMEM',
    'memfd_create': 'EMFILE ENFILE ENOMEM',
    'fcntl': 'EINTR EAGAIN EACCES ENOLCK ENOMEM EMFILE',
    'fallocate': 'ENOSPC EINTR EDQUOT EIO EPERM',
    'ftruncate': 'EINTR EIO EPERM ENOSPC',
    'mmap': 'ENOMEM EAGAIN EACCES EPERM ENFILE',
    'munmap': 'ENOMEM',
    'msync': 'EIO ENOMEM EINTR ENOSPC',
    'futex': 'EINTR EAGAIN',
    'read': 'EINTR EIO EAGAIN ENOMEM',
    'pread64': 'EINTR EIO ENOMEM',
    'write': 'ENOSPC EINTR EPIPE EIO EDQUOT EAGAIN',
    'pwrite64': 'EINTR ENOSPC EDQUOT EIO ENOMEM',
    'fsync': 'EIO ENOSPC EDQUOT EINTR',
    'rename': 'ENOSPC EACCES EPERM EIO EDQUOT ENOMEM EINTR',
    'link': 'ENOSPC EACCES EPERM EIO EDQUOT ENOMEM EINTR',
    'linkat': 'ENOSPC EACCES EPERM EIO EDQUOT ENOMEM EINTR',
    'unlink': 'EIO EACCES EPERM EINTR',
    'close': 'EINTR EIO ENOSPC',
    'getrandom': 'EINTR EAGAIN EPERM',
    'getdents64': 'EIO ENOMEM EINTR',
    'clock_nanosleep': 'EINTR',
    'nanosleep': 'EINTR',
    'fdatasync': 'EIO ENOSPC EINTR',
    'renameat2': 'ENOSPC EACCES EPERM EIO EINTR',
    'unlinkat': 'EIO EACCES EPERM EINTR',
    'clone': 'EAGAIN ENOMEM',
    'clone3': 'EAGAIN ENOMEM',
}
ERRORS = {name: errors.split() for name, errors in ERRORS.items()}

# An error that stays: the last one of each list that is neither an interruption nor a "try again".
LASTING = {name: [error for error in errors if error not in ('EINTR', 'EAGAIN')][-1:] for name, errors in ERRORS.items()}

# Whoever goes on after one of these has failed, but for an interruption, says that something is done which is not.
NEVER_PASSED_OVER = re.compile(r'(fallocate|ftruncate|link|linkat|memfd_create|msync|pwrite64|rename|renameat2)\('
                               r'|fcntl\(\d+, F_OFD_SETLK, {l_type=F_(RD|WR)LCK')

# What opening a store begins anew when it is interrupted (holdfast.h).
BEGUN_ANEW = re.compile(r'(openat|pread64|pwrite64|fallocate|ftruncate|fstatfs|msync|fsync|getrandom)\(|fcntl\(\d+, F_OFD_SETLK')

# A call that asks again and again until another process lets go: so many of each kind are enough.
WAITING = {'open-waits': 6}

# The reason in the library's words, where it knows more than the system.
OWN_WORDS = ('no room for the store', 'a copy needs as much memory', 'no memory for', 'out of memory')

# What a command does to the store: NOTHING; ONE change that happened or did not; SOME of its changes.
NOTHING, ONE, SOME = 'nothing', 'one', 'some'


class Command:
    """One way to call the tool: {store}, {made} (what it makes), {input}, {db} (files to load) and {tree} are filled in. goes_on: it
    gives the right answer also where it cannot use the store, and says so."""

    def __init__(self, line, change=NOTHING, stdin=b'', name=None, goes_on=False):
        self.line, self.change, self.stdin, self.goes_on = line, change, stdin, goes_on
        self.name = name or line.replace('{', '').replace('}', '')


COMMANDS = [
    Command('create {made} --capacity 1M --stripes 2'),
    Command('info {store}'),
    Command('put {store} k1 new', ONE),
    Command('put {store} k1 --json', ONE, b'new'),
    Command('get {store} k1'),
    Command('get {store} k1 k2 --json'),
    Command('get {store} k1 --stale'),
    Command('exists {store} k1'),
    Command('take {store} k1', ONE),
    Command('del {store} k1 k2', SOME),
    Command('incr {store} n', ONE),
    Command('append {store} k1 more', ONE),
    Command('append {store} k1', ONE, b'more'),
    Command('touch {store} k1 --ttl 1d', ONE),
    Command('ttl {store} k1'),
    Command('clear {store}', SOME),
    Command('expire {store}'),
    Command('keys {store}'),
    Command('keys {store} --sort'),
    Command('count {store}'),
    Command('watch {store} --timeout 10ms'),
    Command('memo {store} -- /bin/echo said', ONE, goes_on=True),
    Command('memo {store} --key k1 -- /bin/echo said', goes_on=True, name='memo of something else'),
    Command('memo {store} --key m --refresh -- /bin/echo said', ONE, goes_on=True),
    Command('dump {store}'),
    Command('dump {store} --sort'),
    Command('dump {store} --sort --format db'),
    Command('load {store} {input}', SOME),
    Command('load {store}', SOME, b'{"key":"k1","value":"loaded"}\n{"key":"k9","value":"loaded"}\n'),
    Command('load {store} {db} --format db', SOME),
    Command('import {store} {tree}', SOME),
    Command('copy {store} {made}'),
    Command('copy {store} {made} --replace'),
    Command('stats {store}'),
    Command('stats {store} --prometheus'),
    Command('locks {store}'),
    Command('log {store}'),
    Command('check {store}'),
    Command('check {store} --read-only'),
    Command('repair {store}'),
    Command('help'),
    Command('help put'),
    Command('--version'),
]

# Those that allocate, map or open; a second witness beside what the program counts of itself.
UNDER_VALGRIND = ('open', 'open-joins', 'create', 'open_fd-creates', 'open_anonymous', 'copy', 'copy-replaces', 'get_dup', 'scan',
                  'sync', 'info')

# What a call of the library (syscalls_calls.c) does to the store, if it is not NOTHING.
CHANGES = {'put': ONE, 'put-waits': ONE, 'put-wakes': ONE, 'put-recovers': ONE, 'put_many': SOME, 'put_many-waits': SOME,
           'put_many-recovers': SOME, 'delete': ONE, 'take': ONE, 'incr': ONE, 'append': ONE, 'touch': ONE, 'clear': SOME,
           'fill': ONE}
