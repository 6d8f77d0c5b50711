/* What kernels call: loops in parallel, buffers to work in, errors. */
#define _GNU_SOURCE
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where this thread stands: the run that it works for, its slot, and how much of its workspace is taken. */
static _Thread_local struct {
    gp_run_state *run;
    int32_t slot;
    size_t used;
    int32_t steps; /* of the loop that follows; 0 where that is not known */
} here;

void gp_enter(gp_run_state *run, int32_t slot) { here.run = run, here.slot = slot, here.used = 0; }

void gp_leave(void) { here.run = NULL; }

enum {
    /* Tasks a thread: few, so that neighbours stay together, and several, so that a thread which is held up is waited
     * for by less than a whole share. */
    TASKS_A_THREAD = 8,
    MOST_HOMES = 16
};

/* The tasks that one thread does first, [next, end): in one kernel after another about the same part of the values,
 * which are then in its cache. Who has done its own goes on with those of others. */
typedef struct {
    int32_t next, end; /* the former is atomic */
    char apart[GP_ALIGNMENT - 2 * sizeof(int32_t)];
} gp_home;

typedef struct {
    gp_job job;
    gp_body *body;
    void *closure;
    gp_run_state *run;
    int32_t failed; /* atomic */
    int32_t homes;
    gp_home home[MOST_HOMES];
} gp_loop;

static void work_on_home(gp_loop *loop, gp_home *home) {
    gp_group group = {NULL, (int32_t)loop->job.tasks};
    for (int32_t task; (task = __atomic_fetch_add(&home->next, 1, __ATOMIC_RELAXED)) < home->end;) {
        __atomic_fetch_add(&loop->job.next_task, 1, __ATOMIC_RELAXED);
        if (loop->body(task, &group, loop->closure)) __atomic_store_n(&loop->failed, 1, __ATOMIC_RELAXED);
    }
}

static void work_on_loop(gp_job *job, int32_t slot, int32_t home) {
    gp_loop *loop = (gp_loop *)job;
    if (slot) gp_enter(loop->run, slot);
    for (int32_t i = 0; i < loop->homes; i++) work_on_home(loop, &loop->home[(home + i) % loop->homes]);
    if (slot) gp_leave();
}

static int launch_alone(gp_body *body, void *closure, int tasks) {
    here.steps = 0;
    gp_group group = {NULL, tasks};
    int failed = 0;
    for (int32_t task = 0; task < tasks; task++) failed |= body(task, &group, closure);
    return failed ? -1 : 0;
}

/* A loop of so many steps is launched next. */
int32_t gp_expect_steps(int32_t steps) {
    here.steps = steps;
    return 0;
}

/* How many tasks to make of a loop. Kernels give each as many steps, rounded up, so that the last ones get what is left:
 * as many tasks as there are steps, or as leave about a whole task for the last. */
static int32_t count_tasks(int32_t threads) {
    int32_t most = threads * TASKS_A_THREAD, steps = here.steps ? here.steps : most;
    int32_t steps_a_task = (steps + most - 1) / most;
    here.steps = 0;
    return (steps + steps_a_task - 1) / steps_a_task;
}

int gp_launch(gp_body *body, void *closure, int tasks) {
    gp_run_state *run = here.run;
    if (run->threads == 1) return launch_alone(body, closure, tasks ? tasks : 1);
    if (tasks == 0) tasks = count_tasks(run->threads);
    gp_loop loop;
    loop.job = (gp_job){work_on_loop, tasks, 0, run->threads, 0, 0, NULL};
    loop.body = body, loop.closure = closure, loop.run = run, loop.failed = 0;
    loop.homes = run->threads < MOST_HOMES ? run->threads : MOST_HOMES;
    for (int32_t i = 0; i < loop.homes; i++)
        loop.home[i].next = tasks * i / loop.homes, loop.home[i].end = tasks * (i + 1) / loop.homes;
    gp_share(&loop.job);
    return loop.failed ? -1 : 0;
}

void *gp_take_workspace(int device, int number, uint64_t bytes, int kind, int bits) {
    (void)device, (void)number, (void)kind, (void)bits;
    uint8_t *start = here.run->workspaces + (size_t)here.slot * here.run->stride;
    if (here.used + gp_round_up(bytes) > here.run->workspace_bytes) abort(); /* its size was planned */
    uint8_t *taken = start + here.used;
    here.used += gp_round_up(bytes);
    return taken;
}

int gp_give_workspace(int device, int number, void *taken) {
    (void)device, (void)number;
    here.used = (size_t)((uint8_t *)taken - (here.run->workspaces + (size_t)here.slot * here.run->stride));
    return 0;
}

static int is_first_error(void) { return !__atomic_exchange_n(&here.run->failed, 1, __ATOMIC_RELAXED); }

/* An assertion of a kernel does not hold. */
void gp_raise(const char *const *parts, int32_t count) {
    if (!is_first_error() || !here.run->error_bytes) return;
    snprintf(here.run->error, here.run->error_bytes, "GP413: ");
    for (int32_t i = 0; i < count; i++) {
        size_t used = strlen(here.run->error);
        snprintf(here.run->error + used, here.run->error_bytes - used, "%s", parts[i] ? parts[i] : "");
    }
}
