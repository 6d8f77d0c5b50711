/* Running a program: its arena, and its samples. */
#define _GNU_SOURCE
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    const gp_program *program = all->program;
    const void *few_inputs[MOST_TENSORS], **inputs = few_inputs;
    void *few_outputs[MOST_TENSORS], **outputs = few_outputs, **many = NULL;
    if (program->input_count > MOST_TENSORS || program->output_count > MOST_TENSORS) {
        if (!(many = malloc((program->input_count + program->output_count) * sizeof *many))) return -1;
        inputs = (const void **)many, outputs = many + program->input_count;
    }
    for (size_t i = 0; i < program->input_count; i++) {
        size_t skipped = program->split_inputs[i] ? bytes_before(program, &program->inputs[i], sample) : 0;
        inputs[i] = (const uint8_t *)all->inputs[i] + skipped;
    }
    for (size_t i = 0; i < program->output_count; i++)
        outputs[i] = (uint8_t *)all->outputs[i] + bytes_before(program, &program->outputs[i], sample);
    int status = program->entry(inputs, outputs, all->model->weights, arena, first, last);
    free(many);
    return status;
}

static void work_on_samples(gp_job *job, int32_t slot, int32_t home) {
    (void)home;
    gp_samples *all = (gp_samples *)job;
    if (slot) gp_enter(all->run, slot);
    uint8_t *arena = all->arena + (size_t)slot * all->run->stride;
    for (int64_t sample; (sample = __atomic_fetch_add(&job->next_task, 1, __ATOMIC_RELAXED)) < job->tasks;)
        if (run_sample(all, sample, arena, 0, all->program->kernels))
            __atomic_store_n(&all->status, -1, __ATOMIC_RELAXED);
    if (slot) gp_leave();
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
    size_t values = gp_round_up(program->arena_bytes), work = gp_round_up(program->workspace_bytes);
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
    size_t values = gp_round_up(chosen->arena_bytes), work = gp_round_up(chosen->workspace_bytes);
    gp_run_state run = {start + values, sharing.at_once > 1 ? values + work : work, work, sharing.threads,
                        error, error_bytes, 0};
    gp_samples all = {{work_on_samples, sharing.samples, 0, sharing.at_once, 0, 0, NULL},
                      model, chosen, inputs, outputs, start, &run, 0};
    if (error_bytes) error[0] = 0;
    gp_enter(&run, 0);
    int status = way(&all, sharing, seconds);
    gp_leave();
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
