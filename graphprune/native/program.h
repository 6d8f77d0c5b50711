/* What is generated for a model, and what the parts of the runtime share. Not for users. */
#ifndef GRAPHPRUNE_PROGRAM_H
#define GRAPHPRUNE_PROGRAM_H

/* Where several models are linked into one program, the first one's C part serves them all: its symbols are weak. */
#ifdef GP_STATIC
#define GP_API __attribute__((visibility("hidden"), weak))
#else
#define GP_API __attribute__((visibility("default"), weak))
#endif
#define GP_INTERNAL __attribute__((visibility("hidden"), weak))

#include "graphprune.h"

#define GP_FORMAT 9u
#define GP_ALIGNMENT 64u /* of weights, of values in the arena and of work buffers */

/* Kernels [first, last) of a model, in order; 0, or what the kernel that failed returned. */
typedef int32_t gp_program_function(const void *const *inputs, void *const *outputs, const uint8_t *weights,
                                    uint8_t *arena, int32_t first, int32_t last);

typedef struct {
    gp_program_function *entry;
    int64_t samples;        /* how often it runs, each time for one sample; 0: each run says how often */
    size_t arena_bytes;     /* values between kernels */
    size_t workspace_bytes; /* work buffers of the kernels, for each thread */
    int32_t kernels;
    size_t input_count, output_count;
    const gp_tensor *inputs, *outputs;
    const uint8_t *split_inputs; /* which inputs have a part for each sample; all outputs do */
} gp_program;

/* A weight of whole numbers, none of which is outside [least, most]: offsets are followed unchecked. */
typedef struct {
    size_t offset, count;
    int32_t element_bytes, is_signed;
    int64_t least, most;
} gp_range;

/* The code's own description. */
struct gp_linked {
    uint32_t format;
    uint64_t checksum; /* of the weights and the description that belong to the code */
    uint64_t weights_bytes, description_bytes;
    const char *target;
    const char *const *features; /* instruction sets as Linux names them, up to a NULL */
    size_t programs, ranges;
    size_t hosted; /* nodes that ONNX Runtime runs, between the programs */
    const gp_program *program;
    const gp_range *range;
    const uint8_t *data; /* weights and description where they are linked in, else NULL */
};

struct gp_model {
    const gp_linked *code;
    const uint8_t *weights;
    const char *description;
    void *mapped; /* NULL where the weights are linked in */
    size_t mapped_bytes;
};

/* What the tables of a model are made with. */
extern const uint8_t gp_linked_data[] __attribute__((visibility("hidden"), weak));
#define GP_LISTED __attribute__((used, retain, section("gp_models")))

/* The models in this program or library: the linker puts the pointers that are GP_LISTED side by side. */
extern const gp_linked *const __start_gp_models[] __attribute__((visibility("hidden")));
extern const gp_linked *const __stop_gp_models[] __attribute__((visibility("hidden")));

/* The end of a compiled file: [code][weights][description][footer]. */
typedef struct {
    char magic[16];
    uint32_t format;
    uint32_t code_crc; /* CRC-32 of the code, which is checked before it is loaded */
    uint64_t code_bytes, weights_bytes, description_bytes;
    uint64_t checksum; /* XXH64 of weights and description */
    uint32_t description_crc, footer_crc;
} gp_footer;

/* As gp_open, also where the programs are pieces between which ONNX Runtime runs nodes: the caller sees to these. */
GP_API gp_model *gp_open_pieces(const char *path, int check, char *error, size_t error_bytes);

GP_INTERNAL uint64_t gp_checksum(const uint8_t *data, size_t bytes);
GP_INTERNAL int gp_check_processor(const gp_linked *code, char *error, size_t error_bytes);
GP_INTERNAL int gp_map(gp_model *model, const char *path, int check, char *error, size_t error_bytes);
GP_INTERNAL void gp_unmap(gp_model *model);
GP_INTERNAL void gp_stop_pool(void);

/* Work that several threads share: tasks 0..tasks-1, each done once. */
typedef struct gp_job {
    /* Takes tasks until none is left. Slots are 0..slots-1; `home` is the same for a thread in every job. */
    void (*work)(struct gp_job *, int32_t slot, int32_t home);
    int64_t tasks, next_task; /* the latter is atomic: how many were taken */
    int32_t slots;
    int32_t joined, active; /* threads that came, and that are still at it; the caller, in slot 0, not counted */
    struct gp_job *next;
} gp_job;

enum { GP_MOST_THREADS = 1024 }; /* for a job */

/* Do a job, this thread among those that work. */
GP_INTERNAL void gp_share(gp_job *job);

/* One call of gp_run, whatever thread works for it. */
typedef struct {
    uint8_t *workspaces; /* one for each slot, `stride` bytes apart */
    size_t stride, workspace_bytes;
    int32_t threads; /* that share a kernel's work */
    char *error;
    size_t error_bytes;
    int32_t failed; /* atomic: an error has been written */
} gp_run_state;

/* This thread works for a run from now on, in this slot; and no longer. */
GP_INTERNAL void gp_enter(gp_run_state *run, int32_t slot);
GP_INTERNAL void gp_leave(void);

static inline size_t gp_round_up(size_t bytes) { return (bytes + GP_ALIGNMENT - 1) / GP_ALIGNMENT * GP_ALIGNMENT; }

/* What kernels call: a loop in parallel, a buffer to work in, what to do where they fail. */
typedef struct {
    void *sync;
    int32_t tasks;
} gp_group;

typedef int gp_body(int32_t task, gp_group *group, void *closure);

GP_INTERNAL int32_t gp_expect_steps(int32_t steps);
GP_INTERNAL int gp_launch(gp_body *body, void *closure, int tasks);
GP_INTERNAL void *gp_take_workspace(int device, int number, uint64_t bytes, int kind, int bits);
GP_INTERNAL int gp_give_workspace(int device, int number, void *taken);
GP_INTERNAL void gp_raise(const char *const *parts, int32_t count);

#endif
