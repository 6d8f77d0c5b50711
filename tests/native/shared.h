/* What test programs share: opening, allocating, running one sample, comparing. */
#include <graphprune.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(holds)                                                \
    do {                                                            \
        if (!(holds)) {                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds); \
            exit(1);                                                \
        }                                                           \
    } while (0)

/* A buffer for the first input, filled from `seed`, and one for the first output; they lie as badly as is allowed. */
typedef struct {
    char *memory;
    float *input, *output;
    size_t output_bytes;
} buffers;

static inline buffers make_buffers(const gp_model *model, unsigned seed) {
    size_t bytes = gp_input(model, 0, 0).bytes, output_bytes = gp_output(model, 0, 0).bytes;
    char *memory = malloc(8 + bytes + output_bytes);
    CHECK(memory);
    buffers made = {memory, (float *)(memory + 8), (float *)(memory + 8 + bytes), output_bytes};
    for (size_t i = 0; i < bytes / sizeof(float); i++) made.input[i] = (float)((i * 7 + seed) % 13) - 6;
    return made;
}

static inline void free_buffers(buffers made) { free(made.memory); }

static inline void run_once(const gp_model *model, buffers with, void *arena, int threads) {
    char error[256] = "?";
    const void *inputs[] = {with.input};
    void *outputs[] = {with.output};
    memset(with.output, -1, with.output_bytes);
    int failed = gp_run(model, 0, 1, inputs, outputs, arena, threads, error, sizeof error);
    if (failed) fprintf(stderr, "%s\n", error);
    CHECK(!failed && !error[0]);
}
