/* SPDX-License-Identifier: MIT */
/*
 * A worker process: its way to a handle, its threads, and in every third one children, forked in the middle of the threads' work,
 * that go on for a while with the handle they inherited. Everything a forked child needs is made before the fork: in it, nothing
 * may be allocated.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

enum { INHERIT_EVERY = 3, SHARE_EVERY = 8, HURRY_EVERY = 4, FORK_EVERY = 3, CHILD_CALLS = 400, OPEN_TRIES = 200 };
enum { SHORT_DEADLINE_MS = 40, LIBRARY_DEADLINE_MS = 10000, US = 1000 };

_Thread_local struct chaos_worker *chaos_here;

struct crew {
    struct chaos *chaos;
    unsigned place;
    bool writes;
    struct chaos_worker workers[CHAOS_THREADS_MAX + 1]; /* the last one in use is for the forked children */
};

struct thread_start {
    struct crew *crew;
    unsigned thread;
};

bool chaos_worker_init(struct chaos_worker *worker, struct chaos *chaos, unsigned slot, hf_store *store, uint64_t random) {
    memset(worker, 0, sizeof *worker);
    worker->chaos = chaos;
    worker->slot = &chaos->slots[slot];
    worker->store = store;
    worker->random = random;
    worker->zipf = chaos->skew == CHAOS_ZIPF || (chaos->skew == CHAOS_MIXED && random % 2 == 0);
    worker->deadline_ms = chaos->timeout_ms ? chaos->timeout_ms : LIBRARY_DEADLINE_MS;
    worker->got = malloc((size_t)chaos->max_value + 1);
    worker->made = malloc((size_t)chaos->max_value + 1);
    worker->scan_met = calloc(chaos->keys, 1);
    return worker->got && worker->made && worker->scan_met;
}

void chaos_worker_end(struct chaos_worker *worker) {
    free(worker->got);
    free(worker->made);
    free(worker->scan_met);
}

/* ---- The way to a handle ------------------------------------------------------------------------------------------------ */

/* An opener may be killed or stopped while it is the first writer, so a short deadline can pass. */
static int open_patiently(hf_store **store, const char *path, const struct hf_options *options) {
    int result = HF_ERR_TIMEOUT;
    for (unsigned i = 0; i < OPEN_TRIES && result == HF_ERR_TIMEOUT; i++)
        result = hf_open(store, path, options);
    return result;
}

/* Every third start works on with the handle inherited from the parent. The others close it and open the store by its path, as
 * a stranger would; some open it while the inherited handle is there, and so share its mapping. Every other one is in a hurry. */
static bool obtain_handle(struct crew *crew, const char *path, unsigned start) {
    struct chaos *chaos = crew->chaos;
    struct chaos_worker *first = &crew->workers[0];
    hf_store *store = first->store;
    if (start % INHERIT_EVERY == 0)
        return true;
    int result = start % SHARE_EVERY == 1 ? HF_OK : hf_close(&first->store);
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = !crew->writes && start % 2 == 0 ? HF_RDONLY : 0;
    options.timeout_ms = start % HURRY_EVERY >= HURRY_EVERY / 2 ? SHORT_DEADLINE_MS : chaos->timeout_ms;
    options.log = chaos_log;
    options.log_context = chaos;
    if (result == HF_OK)
        result = open_patiently(&store, path, &options);
    atomic_fetch_add(&chaos->opens, 1);
    for (unsigned i = 0; i <= chaos->threads; i++) {
        crew->workers[i].store = store;
        crew->workers[i].deadline_ms = options.timeout_ms ? options.timeout_ms : LIBRARY_DEADLINE_MS;
    }
    if (result != HF_OK)
        chaos_violation(chaos, "a worker could not open the store: %s (%s)", hf_result_name(result), hf_explain());
    return result == HF_OK;
}

/* ---- Threads and children ----------------------------------------------------------------------------------------------- */

static void work(struct crew *crew, unsigned thread, uint64_t calls) {
    struct chaos_worker *worker = &crew->workers[thread];
    chaos_here = worker;
    atomic_store(&worker->slot->active, 1);
    (crew->writes ? chaos_writer : chaos_reader)(worker, calls);
    atomic_store(&worker->slot->active, 0);
}

static void *thread_main(void *argument) {
    struct thread_start start = *(struct thread_start *)argument;
    free(argument);
    work(start.crew, start.thread, UINT64_MAX);
    return NULL;
}

static void sleep_us(uint64_t microseconds) {
    struct timespec time = { .tv_sec = (time_t)(microseconds / 1000000), .tv_nsec = (long)(microseconds % 1000000) * 1000 };
    nanosleep(&time, NULL);
}

/* A machine that is short of memory for a moment is asked again for five seconds. */
static bool start_thread(struct crew *crew, unsigned thread, pthread_t *id) {
    struct thread_start *start = malloc(sizeof *start);
    if (!start)
        return false;
    *start = (struct thread_start){ .crew = crew, .thread = thread };
    for (unsigned try = 0; (errno = pthread_create(id, NULL, thread_main, start)) == EAGAIN && try < 500; try++)
        sleep_us(10000);
    if (errno)
        free(start);
    return errno == 0;
}

/* The slot tells the parent of all whose death to wait for, so it is filled before the first call. */
static void child_main(struct crew *crew, pid_t parent, uint64_t random) {
    struct chaos_worker *worker = &crew->workers[crew->chaos->threads];
    atomic_store(&worker->slot->pid, (unsigned)getpid());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    worker->random = random;
    if (getppid() == parent)
        work(crew, crew->chaos->threads, CHILD_CALLS);
    _exit(0);
}

/* One child; some are killed by this process, and the next goes on in their slot. */
static bool raise_child(struct crew *crew, uint64_t *random) {
    struct chaos *chaos = crew->chaos;
    struct chaos_slot *slot = crew->workers[chaos->threads].slot;
    pid_t parent = getpid();
    uint64_t seed = chaos_random(random);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        child_main(crew, parent, seed);
    if (pid < 0)
        return errno == EAGAIN || errno == ENOMEM;
    atomic_fetch_add(&chaos->forks, 1);
    if (seed % 2 == 0) {
        sleep_us(chaos_below(random, 3 * US));
        chaos_mark(chaos, pid);
        kill(pid, SIGKILL);
    }
    if (waitpid(pid, &status, 0) != pid)
        return false;
    atomic_fetch_add(&chaos->forks_killed, WIFSIGNALED(status));
    if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) != 0)
        chaos_violation(chaos, "a forked child ended with status %d, expected 0", status);
    chaos_bury(slot);
    return true;
}

static void raise_children(struct crew *crew, uint64_t random) {
    while (!atomic_load(&crew->chaos->stop)) {
        if (!raise_child(crew, &random)) {
            chaos_violation(crew->chaos, "a forked child was lost: %s", strerror(errno));
            return;
        }
        sleep_us(chaos_below(&random, 5 * US));
    }
}

/* The threads; the first is the main thread itself, unless that raises children. */
static void employ(struct crew *crew, bool forks, uint64_t random) {
    pthread_t ids[CHAOS_THREADS_MAX];
    unsigned threads = crew->chaos->threads, first = forks ? 0 : 1;
    for (unsigned i = first; i < threads; i++) {
        if (start_thread(crew, i, &ids[i]))
            continue;
        chaos_violation(crew->chaos, "a worker could not start a thread: %s; ask for fewer", strerror(errno));
        threads = i;
    }
    if (forks)
        raise_children(crew, random);
    else
        work(crew, 0, UINT64_MAX);
    for (unsigned i = first; i < threads; i++)
        pthread_join(ids[i], NULL);
}

/* The whole life of a worker process, but for its death. */
void chaos_process(struct chaos *chaos, hf_store *store, const char *path, unsigned place, unsigned start, uint64_t random) {
    static struct crew crew;
    crew.chaos = chaos;
    crew.place = place;
    crew.writes = place < chaos->writers;
    bool ready = chaos_mortal(start);
    for (unsigned i = 0; i <= chaos->threads && ready; i++) {
        ready = chaos_worker_init(&crew.workers[i], chaos, place * (chaos->threads + 1) + i, store, chaos_random(&random));
        crew.workers[i].place = &chaos->places[place];
    }
    if (!ready) {
        chaos_violation(chaos, "out of memory or threads in a worker; ask for fewer");
        return;
    }
    if (!obtain_handle(&crew, path, start))
        return;
    employ(&crew, start % FORK_EVERY == 1, random);
    hf_close(&crew.workers[0].store);
}
