/* SPDX-License-Identifier: MIT */
/*
 * The parent of a team: forks it, gives orders, collects results, ends it. It sleeps while the others work.
 */
#include "team.h"

#include <errno.h>
#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct bench_team {
    struct bench_crew crew;
    struct bench_store stores[BENCH_STORES_MAX];
    size_t board_size;
    pid_t *process; /* 0: has ended */
};

/* ---- In a member -------------------------------------------------------------------------------------------------------- */

struct post {
    const struct bench_crew *crew;
    unsigned thread;
    pthread_t id;
};

static void *begin_thread(void *post) {
    bench_work_on(((struct post *)post)->crew, ((struct post *)post)->thread);
    return NULL;
}

/* For every thread that will not come. */
static void cannot_begin(const struct bench_crew *crew, unsigned thread) {
    for (; thread < crew->threads; thread++) {
        struct bench_seat *seat = &crew->board->seat[crew->process * crew->threads + thread];
        seat->answer = BENCH_FAILED;
        snprintf(seat->reason, sizeof seat->reason, "%s", bench_reason());
        __atomic_add_fetch(&crew->board->ready, 1, __ATOMIC_ACQ_REL);
    }
}

static int open_all(struct bench_crew *crew) {
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->stores[i].engine->open(crew->stores[i].path, &crew->stores[i].config, &crew->opened[i]) != BENCH_DONE)
            return BENCH_FAILED;
    }
    return BENCH_DONE;
}

/* The first thread of the process is thread 0. */
static void be_member(struct bench_crew *crew) {
    struct post posts[BENCH_THREADS_MAX];
    unsigned begun = 1;
    if (open_all(crew) != BENCH_DONE) {
        cannot_begin(crew, 0);
        bench_wait_for_order(crew->board, 0); /* the first will be to quit; before, our end would look like a death */
        return;
    }
    for (; begun < crew->threads; begun++) {
        posts[begun] = (struct post){ .crew = crew, .thread = begun };
        if (pthread_create(&posts[begun].id, NULL, begin_thread, &posts[begun]) != 0) {
            bench_explain("cannot start a thread");
            cannot_begin(crew, begun);
            break;
        }
    }
    bench_work_on(crew, 0);
    while (--begun > 0)
        pthread_join(posts[begun].id, NULL);
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->stores[i].engine->close)
            crew->stores[i].engine->close(crew->opened[i]);
    }
}

/* ---- In the parent ------------------------------------------------------------------------------------------------------ */

static bool fork_member(struct bench_team *team, unsigned index) {
    pid_t parent = getpid();
    team->process[index] = fork();
    if (team->process[index] < 0)
        return bench_explain("cannot fork: %s", strerror(errno)) == BENCH_DONE;
    if (team->process[index] > 0)
        return true;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    team->crew.process = index;
    be_member(&team->crew);
    _exit(0);
}

/* One that ended though nobody told it to. */
static bool member_lost(struct bench_team *team) {
    for (unsigned i = 0; i < team->crew.processes; i++) {
        int status;
        if (team->process[i] > 0 && waitpid(team->process[i], &status, WNOHANG) == team->process[i]) {
            team->process[i] = 0;
            if (WIFSIGNALED(status))
                bench_explain("process %u of the team died of signal %d", i, WTERMSIG(status));
            else
                bench_explain("process %u of the team ended with status %d", i, WEXITSTATUS(status));
            return true;
        }
    }
    return false;
}

/* Until `word` has become `wanted`. */
static int await(struct bench_team *team, const uint32_t *word, uint32_t wanted) {
    const struct timespec pause = { .tv_nsec = 1000000 };
    while (bench_seen(word) < wanted) {
        if (bench_interrupted())
            return bench_explain("interrupted");
        if (member_lost(team))
            return BENCH_FAILED;
        nanosleep(&pause, NULL);
    }
    return BENCH_DONE;
}

static void call_out(struct bench_board *board) {
    __atomic_add_fetch(&board->order, 1, __ATOMIC_ACQ_REL);
    syscall(SYS_futex, &board->order, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int first_failure(const struct bench_team *team, unsigned seats) {
    for (unsigned i = 0; i < seats; i++) {
        if (team->crew.board->seat[i].answer != BENCH_DONE)
            return bench_explain("%s", team->crew.board->seat[i].reason);
    }
    return BENCH_DONE;
}

static struct bench_team *new_team(const struct bench_store *stores, unsigned count, unsigned processes, unsigned threads) {
    struct bench_team *team = calloc(1, sizeof *team);
    if (!team)
        return NULL;
    team->board_size = sizeof(struct bench_board) + (size_t)processes * threads * sizeof(struct bench_seat);
    team->process = calloc(processes, sizeof *team->process);
    void *board = mmap(NULL, team->board_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED || !team->process) {
        free(team->process);
        free(team);
        return NULL;
    }
    memcpy(team->stores, stores, count * sizeof *stores);
    team->crew = (struct bench_crew){ .board = board, .stores = team->stores, .count = count, .processes = processes,
                                      .threads = threads };
    return team;
}

struct bench_team *bench_team_start(const struct bench_store *stores, unsigned count, unsigned processes, unsigned threads,
                                    uint64_t seed) {
    if (count > BENCH_STORES_MAX || processes < 1 || threads < 1 || (uint64_t)processes * threads > BENCH_THREADS_MAX) {
        bench_explain("a team of %u processes of %u threads is too large", processes, threads);
        return NULL;
    }
    struct bench_team *team = new_team(stores, count, processes, threads);
    if (!team) {
        bench_explain("no memory");
        return NULL;
    }
    team->crew.seed = seed;
    fflush(NULL);
    bool begun = true;
    for (unsigned i = 0; begun && i < processes; i++)
        begun = fork_member(team, i);
    if (!begun || await(team, &team->crew.board->ready, processes * threads) != BENCH_DONE ||
        first_failure(team, processes * threads) != BENCH_DONE)
        bench_team_end(&team);
    return team;
}

static void add_up(const struct bench_board *board, unsigned seats, struct bench_result *sum) {
    memset(sum, 0, sizeof *sum);
    for (unsigned i = 0; i < seats; i++) {
        const struct bench_seat *seat = &board->seat[i];
        sum->operations += seat->result.operations;
        sum->hits += seat->result.hits;
        sum->misses += seat->result.misses;
        sum->wrong += seat->result.wrong;
        if (seat->busy_ns != 0)
            sum->per_second += (double)seat->result.operations * 1e9 / (double)seat->busy_ns;
        bench_merge(&sum->times, &seat->result.times);
        bench_merge(&sum->chunks, &seat->result.chunks);
    }
    sum->inserted = board->inserted < board->work.room ? board->inserted : board->work.room;
    sum->threads = seats;
    sum->ns = sum->per_second > 0 ? seats * 1e9 / sum->per_second : 0;
    unsigned batch = board->work.kind == BENCH_GET_MANY && board->work.batch ? board->work.batch : 1;
    sum->typical_ns = (double)bench_quantile(&sum->chunks, 0.5) / (BENCH_CHUNK / batch * batch);
    if (sum->chunks.count == 0)
        sum->typical_ns = sum->ns;
}

/* An engine that cannot do it, or several at once. */
static int refuse(const struct bench_team *team, const struct bench_work *work, unsigned processes) {
    const struct bench_engine *engine = team->stores[work->store].engine;
    const struct bench_mix *mix = &work->mix;
    bool puts = work->kind == BENCH_LOAD || (work->kind == BENCH_MIXED && mix->put + mix->insert + mix->modify > 0);
    bool erases = work->kind == BENCH_ERASE || (work->kind == BENCH_MIXED && mix->erase > 0);
    if ((puts && !engine->put) || (erases && !engine->erase) || (!puts && !erases && !engine->get))
        return bench_explain("%s does not offer this operation", engine->name);
    if (processes > 1 && !(engine->abilities & BENCH_SEVERAL_PROCESSES))
        return bench_explain("%s takes one process only", engine->name);
    if (team->crew.threads > 1 && !(engine->abilities & BENCH_SEVERAL_THREADS))
        return bench_explain("%s takes one thread a process only", engine->name);
    return BENCH_DONE;
}

int bench_team_run(struct bench_team *team, const struct bench_work *work, struct bench_result *result) {
    struct bench_board *board = team->crew.board;
    unsigned processes = work->processes && work->processes < team->crew.processes ? work->processes : team->crew.processes;
    unsigned seats = processes * team->crew.threads, all = team->crew.processes * team->crew.threads;
    if (refuse(team, work, processes) != BENCH_DONE)
        return BENCH_FAILED;
    for (unsigned i = 0; i < all; i++)
        memset(&board->seat[i], 0, sizeof board->seat[i]);
    board->arrived = board->done = board->failed = 0;
    board->start_ns = board->inserted = 0;
    board->work = *work;
    call_out(board);
    if (await(team, &board->done, all) != BENCH_DONE || first_failure(team, seats) != BENCH_DONE)
        return BENCH_FAILED;
    add_up(board, seats, result);
    return BENCH_DONE;
}

int bench_team_process(const struct bench_team *team, unsigned index) {
    return index < team->crew.processes ? team->process[index] : 0;
}

/* After an interruption they may be in the middle of an order, and are killed: the stores are thrown away. */
void bench_team_end(struct bench_team **team) {
    struct bench_team *ended = *team;
    if (!ended)
        return;
    ended->crew.board->quit = 1;
    __atomic_store_n(&ended->crew.board->failed, 1, __ATOMIC_RELEASE);
    call_out(ended->crew.board);
    for (unsigned i = 0; i < ended->crew.processes; i++) {
        if (ended->process[i] <= 0)
            continue;
        if (bench_interrupted())
            kill(ended->process[i], SIGKILL);
        while (waitpid(ended->process[i], NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    munmap(ended->crew.board, ended->board_size);
    free(ended->process);
    free(ended);
    *team = NULL;
}
