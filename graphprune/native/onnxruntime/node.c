/* A node of a session of ONNX Runtime: checking shapes, making outputs, running the model. */
#include "custom_op.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANK = 64, MOST_THREADS = 1024 };

static atomic_int nodes; /* of all sessions */

/* The values of one run between its kernels, kept for the next run. */
typedef struct gp_arena {
    struct gp_arena *next;
    size_t bytes;
    uint8_t content[];
} gp_arena;

/* One node of one session, which several threads may run at once. */
typedef struct {
    int threads;
    pthread_mutex_t lock;
    gp_arena *unused;
} gp_node;

typedef struct {
    const void *data;
    size_t rank;
    int64_t shape[MOST_RANK];
} gp_given;

static gp_arena *take_arena(gp_node *node, size_t bytes) {
    pthread_mutex_lock(&node->lock);
    gp_arena *arena = node->unused;
    if (arena) node->unused = arena->next;
    pthread_mutex_unlock(&node->lock);
    if (arena && arena->bytes >= bytes) return arena;
    free(arena);
    if ((arena = calloc(1, sizeof *arena + bytes))) arena->bytes = bytes;
    return arena;
}

static void give_arena(gp_node *node, gp_arena *arena) {
    pthread_mutex_lock(&node->lock);
    arena->next = node->unused;
    node->unused = arena;
    pthread_mutex_unlock(&node->lock);
}

static OrtStatus *read_shape(const OrtValue *value, gp_given *given) {
    OrtTensorTypeAndShapeInfo *info;
    TRY(gp_ort->GetTensorTypeAndShape(value, &info));
    OrtStatus *status = gp_ort->GetDimensionsCount(info, &given->rank);
    if (!status && given->rank <= MOST_RANK) status = gp_ort->GetDimensions(info, given->shape, given->rank);
    gp_ort->ReleaseTensorTypeAndShapeInfo(info);
    return status;
}

static OrtStatus *read_inputs(OrtKernelContext *context, gp_given *given) {
    for (size_t i = 0; i < gp_inputs(gp_ort_model); i++) {
        const OrtValue *value;
        void *data;
        TRY(gp_ort->KernelContext_GetInput(context, i, &value));
        TRY(read_shape(value, &given[i]));
        TRY(gp_ort->GetTensorMutableData((OrtValue *)value, &data));
        given[i].data = data;
    }
    return NULL;
}

/* Whether an input has the shape that the program takes; the first extent that counts samples decides how many. */
static int fits(gp_tensor input, const gp_given *given, int64_t *samples, char *error) {
    if (given->rank != (size_t)input.rank || given->rank > MOST_RANK) {
        snprintf(error, ERROR_BYTES, "GP515: input '%s' has %zu dimensions, expected %d", input.name, given->rank,
                 (int)input.rank);
        return 0;
    }
    for (int32_t axis = 0; axis < input.rank; axis++) {
        int64_t extent = given->shape[axis], expected = input.shape[axis];
        if (expected == GP_SAMPLES) {
            if (!*samples) *samples = extent > 0 ? extent : 1;
            expected = *samples;
        }
        if (extent == expected) continue;
        snprintf(error, ERROR_BYTES, "GP515: input '%s' has extent %lld at axis %d, expected %lld", input.name,
                 (long long)extent, (int)axis, (long long)expected);
        return 0;
    }
    return 1;
}

/* The program for these shapes, and the number of samples; gp_programs() with an error where there is none. */
static size_t choose(const gp_given *given, int64_t *samples, char *error) {
    size_t programs = gp_programs(gp_ort_model);
    for (size_t program = 0; program < programs; program++) {
        size_t i = 0;
        *samples = 0;
        while (i < gp_inputs(gp_ort_model) && fits(gp_input(gp_ort_model, program, i), &given[i], samples, error)) i++;
        if (i == gp_inputs(gp_ort_model)) return program;
    }
    size_t used = strlen(error);
    if (programs > 1) snprintf(error + used, ERROR_BYTES - used, "; nor does another of %zu programs fit", programs);
    return programs;
}

static OrtStatus *make_output(OrtKernelContext *context, size_t program, size_t number, int64_t samples, void **data) {
    gp_tensor output = gp_output(gp_ort_model, program, number);
    int64_t shape[output.rank + 1];
    OrtValue *value;
    for (int32_t axis = 0; axis < output.rank; axis++)
        shape[axis] = output.shape[axis] == GP_SAMPLES ? samples : output.shape[axis];
    TRY(gp_ort->KernelContext_GetOutput(context, number, shape, (size_t)output.rank, &value));
    return gp_ort->GetTensorMutableData(value, data);
}

OrtStatus *gp_run_node(void *state, OrtKernelContext *context) {
    gp_node *node = state;
    gp_given given[gp_inputs(gp_ort_model) + 1];
    const void *inputs[gp_inputs(gp_ort_model) + 1];
    void *outputs[gp_outputs(gp_ort_model) + 1];
    char error[ERROR_BYTES] = "";
    int64_t samples = 0;
    TRY(read_inputs(context, given));
    size_t program = choose(given, &samples, error);
    if (program == gp_programs(gp_ort_model)) return gp_ort->CreateStatus(ORT_INVALID_ARGUMENT, error);
    for (size_t i = 0; i < gp_inputs(gp_ort_model); i++) inputs[i] = given[i].data;
    for (size_t i = 0; i < gp_outputs(gp_ort_model); i++) TRY(make_output(context, program, i, samples, &outputs[i]));
    gp_arena *arena = take_arena(node, gp_arena_bytes(gp_ort_model, program, samples, node->threads));
    if (!arena) return gp_ort->CreateStatus(ORT_FAIL, "GP416: no memory is left for the arena");
    int failed = gp_run(gp_ort_model, program, samples, inputs, outputs, arena->content, node->threads, error,
                        sizeof error);
    give_arena(node, arena);
    return failed ? gp_ort->CreateStatus(ORT_FAIL, error) : NULL;
}

OrtStatus *gp_create_node(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **state) {
    (void)op, (void)api;
    int64_t threads = 1;
    OrtStatus *absent = gp_ort->KernelInfoGetAttribute_int64(info, "threads", &threads);
    if (absent) gp_ort->ReleaseStatus(absent);
    if (threads < 1 || threads > MOST_THREADS) {
        char error[ERROR_BYTES];
        snprintf(error, sizeof error, "GP532: threads is %lld, expected 1 to %d", (long long)threads, MOST_THREADS);
        return gp_ort->CreateStatus(ORT_INVALID_ARGUMENT, error);
    }
    gp_node *node = malloc(sizeof *node);
    if (!node) return gp_ort->CreateStatus(ORT_FAIL, "GP416: no memory is left");
    *node = (gp_node){(int)threads, PTHREAD_MUTEX_INITIALIZER, NULL};
    atomic_fetch_add(&nodes, 1);
    *state = node;
    return NULL;
}

void gp_destroy_node(void *state) {
    gp_node *node = state;
    for (gp_arena *arena; (arena = node->unused); free(arena)) node->unused = arena->next;
    free(node);
    atomic_fetch_sub(&nodes, 1);
}

int gp_has_nodes(void) { return atomic_load(&nodes); }
