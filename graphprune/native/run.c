/* Running a program: its arena, its samples, and what kernels call. */
#define _GNU_SOURCE
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One call of gp_run, whatever thread works for it. */
typedef struct {
    uint8_t *workspaces;     /* one for each slot, `stride` bytes apart */
    size_t stride, workspace_bytes;
    int32_t threads;         /* that share a kernel's work */
    char *error;
    size_t error_bytes;
    int32_t failed;          /* atomic: an error has been written */
} gp_run_state;

/* Where this thread stands: the run that it works for, its slot, and how much of its workspace is taken. */
static _Thread_local struct {
    gp_run_state *run;
    int32_t slot;
    size_t used;
    int32_t steps; /* of the loop that follows; 0 where that is not known */
} here;

static size_t round_up(size_t bytes) { return (bytes + GP_ALIGNMENT - 1) / GP_ALIGNMENT * GP_ALIGNMENT; }

/* ---- What kernels call. ---- */

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
    if (slot) here.run = loop->run, here.slot = slot, here.used = 0;
    for (int32_t i = 0; i < loop->homes; i++) work_on_home(loop, &loop->home[(home + i) % loop->homes]);
    if (slot) here.run = NULL;
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
    if (here.used + round_up(bytes) > here.run->workspace_bytes) abort(); /* its size was planned */
    uint8_t *taken = start + here.used;
    here.used += round_up(bytes);
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

/* ---- Samples ---- */

enum { MOST_TENSORS = 64 }; /* whose addresses of a sample fit the stack */

typedef struct {
    gp_job job;
    const gp_model *model;
    const gp_program *program;
    const void *const *inputs;
    void *const *outputs;
    uint8_t *arena; /* of slot 0 */
    gp_run_state *run;
    int32_t status; /* atomic */
} gp_samples;

/* Of a tensor, the bytes of the samples before this one. */
static size_t bytes_before(const gp_program *program, const gp_tensor *tensor, int64_t sample) {
    return (size_t)sample * (program->samples ? tensor->bytes / (size_t)program->samples : tensor->bytes);
}

static int run_sample(const gp_samples *all, int64_t sample, uint8_t *arena, int32_t first, int32_t last) {
    const gp_linked *code = all->model->code;
    const void *few_inputs[MOST_TENSORS], **inputs = few_inputs;
    void *few_outputs[MOST_TENSORS], **outputs = few_outputs, **many = NULL;
    if (code->inputs > MOST_TENSORS || code->outputs > MOST_TENSORS) {
        if (!(many = malloc((code->inputs + code->outputs) * sizeof *many))) return -1;
        inputs = (const void **)many, outputs = many + code->inputs;
    }
    for (size_t i = 0; i < code->inputs; i++) {
        size_t skipped = all->program->split_inputs[i] ? bytes_before(all->program, &all->program->inputs[i], sample) : 0;
        inputs[i] = (const uint8_t *)all->inputs[i] + skipped;
    }
    for (size_t i = 0; i < code->outputs; i++)
        outputs[i] = (uint8_t *)all->outputs[i] + bytes_before(all->program, &all->program->outputs[i], sample);
    int status = all->program->entry(inputs, outputs, all->model->weights, arena, first, last);
    free(many);
    return status;
}

static void work_on_samples(gp_job *job, int32_t slot, int32_t home) {
    (void)home;
    gp_samples *all = (gp_samples *)job;
    if (slot) here.run = all->run, here.slot = slot, here.used = 0;
    uint8_t *arena = all->arena + (size_t)slot * all->run->stride;
    for (int64_t sample; (sample = __atomic_fetch_add(&job->next_task, 1, __ATOMIC_RELAXED)) < job->tasks;)
        if (run_sample(all, sample, arena, 0, all->program->kernels))
            __atomic_store_n(&all->status, -1, __ATOMIC_RELAXED);
    if (slot) here.run = NULL;
}

/* How the threads of a run are used: one sample each, where there are enough, else all for one sample after another. */
typedef struct {
    int64_t samples;
    int32_t at_once; /* samples */
    int32_t threads; /* for a sample */
} gp_sharing;

static gp_sharing one_by_one(const gp_program *program, int64_t samples, int threads) {
    int most = threads < GP_MOST_THREADS ? threads : GP_MOST_THREADS;
    return (gp_sharing){program->samples ? program->samples : samples, 1, most < 1 ? 1 : most};
}

static gp_sharing share_out(const gp_program *program, int64_t samples, int threads) {
    gp_sharing sharing = one_by_one(program, samples, threads);
    if (sharing.threads > 1 && sharing.samples >= sharing.threads)
        sharing.at_once = sharing.threads, sharing.threads = 1;
    return sharing;
}

static size_t arena_bytes(const gp_program *program, gp_sharing sharing) {
    size_t values = round_up(program->arena_bytes), work = round_up(program->workspace_bytes);
    return GP_ALIGNMENT + (size_t)sharing.at_once * (values + (size_t)sharing.threads * work);
}

size_t gp_arena_bytes(const gp_model *model, size_t program, int64_t samples, int threads) {
    const gp_program *chosen = &model->code->program[program];
    return arena_bytes(chosen, share_out(chosen, samples, threads));
}

typedef int (*gp_way)(gp_samples *all, gp_sharing sharing, double *seconds);

static int run_all(gp_samples *all, gp_sharing sharing, double *seconds) {
    (void)seconds;
    if (sharing.at_once > 1) {
        gp_share(&all->job);
        return all->status;
    }
    int status = 0;
    for (int64_t sample = 0; sample < sharing.samples && !status; sample++)
        status = run_sample(all, sample, all->arena, 0, all->program->kernels);
    return status;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int time_all(gp_samples *all, gp_sharing sharing, double *seconds) {
    memset(seconds, 0, (size_t)all->program->kernels * sizeof *seconds);
    for (int64_t sample = 0; sample < sharing.samples; sample++)
        for (int32_t kernel = 0; kernel < all->program->kernels; kernel++) {
            double start = now();
            if (run_sample(all, sample, all->arena, kernel, kernel + 1)) return -1;
            seconds[kernel] += now() - start;
        }
    return 0;
}

static int run_with(const gp_model *model, size_t program, gp_sharing sharing, const void *const *inputs,
                    void *const *outputs, void *arena, char *error, size_t error_bytes, gp_way way, double *seconds) {
    const gp_program *chosen = &model->code->program[program];
    void *own = NULL;
    if (!arena && !(arena = own = calloc(1, arena_bytes(chosen, sharing)))) {
        snprintf(error, error_bytes, "GP416: no memory is left for the arena");
        return -1;
    }
    uint8_t *start = (uint8_t *)(((uintptr_t)arena + GP_ALIGNMENT - 1) / GP_ALIGNMENT * GP_ALIGNMENT);
    size_t values = round_up(chosen->arena_bytes), work = round_up(chosen->workspace_bytes);
    gp_run_state run = {start + values, sharing.at_once > 1 ? values + work : work, work, sharing.threads,
                        error, error_bytes, 0};
    gp_samples all = {{work_on_samples, sharing.samples, 0, sharing.at_once, 0, 0, NULL},
                      model, chosen, inputs, outputs, start, &run, 0};
    if (error_bytes) error[0] = 0;
    here.run = &run, here.slot = 0, here.used = 0;
    int status = way(&all, sharing, seconds);
    here.run = NULL;
    free(own);
    if (status && error_bytes && !error[0]) snprintf(error, error_bytes, "GP416: no memory is left");
    return status ? -1 : 0;
}

int gp_run(const gp_model *model, size_t program, int64_t samples, const void *const *inputs, void *const *outputs,
           void *arena, int threads, char *error, size_t error_bytes) {
    gp_sharing sharing = share_out(&model->code->program[program], samples, threads);
    return run_with(model, program, sharing, inputs, outputs, arena, error, error_bytes, run_all, NULL);
}

int gp_time(const gp_model *model, size_t program, int64_t samples, const void *const *inputs, void *const *outputs,
            void *arena, int threads, double *seconds, char *error, size_t error_bytes) {
    gp_sharing sharing = one_by_one(&model->code->program[program], samples, threads);
    return run_with(model, program, sharing, inputs, outputs, arena, error, error_bytes, time_all, seconds);
}
