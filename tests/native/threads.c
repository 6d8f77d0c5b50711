/* Several threads run one model, each with an arena of its own, or with none; all find what a single thread finds. */
#include "shared.h"

#include <pthread.h>

enum { CALLERS = 6, RUNS = 200 };

static const gp_model *model;

static void *call(void *number) {
    unsigned seed = *(unsigned *)number;
    buffers expected = make_buffers(model, seed), found = make_buffers(model, seed);
    char *memory = malloc(gp_arena_bytes(model, 0, 1, 3) + 1), *arena = seed % 2 ? memory + 1 : NULL;
    run_once(model, expected, NULL, 1);
    for (int i = 0; i < RUNS; i++) {
        run_once(model, found, arena, 1 + i % 3);
        CHECK(!memcmp(expected.output, found.output, found.output_bytes));
    }
    free(memory);
    free_buffers(expected);
    free_buffers(found);
    return NULL;
}

int main(void) {
    char error[256];
    gp_model *opened = gp_open(NULL, 1, error, sizeof error);
    CHECK(opened);
    model = opened;
    pthread_t threads[CALLERS];
    unsigned seeds[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++) {
        seeds[i] = i;
        CHECK(!pthread_create(&threads[i], NULL, call, &seeds[i]));
    }
    for (unsigned i = 0; i < CALLERS; i++) CHECK(!pthread_join(threads[i], NULL));
    gp_close(opened);
    return 0;
}
