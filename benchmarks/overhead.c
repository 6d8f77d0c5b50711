/* Nanoseconds that a run of a linked model takes, the least of many; printed with its number of kernels. */
#define _GNU_SOURCE
#include <graphprune.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 1000, ROUNDS = 200 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

int main(void) {
    char error[256];
    gp_model *model = gp_open(NULL, 1, error, sizeof error);
    if (!model) return fprintf(stderr, "%s\n", error), 1;
    const void *inputs[] = {calloc(1, gp_input(model, 0, 0).bytes)};
    void *outputs[] = {malloc(gp_output(model, 0, 0).bytes)};
    void *arena = calloc(1, gp_arena_bytes(model, 0, 1, 1));
    double least = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        for (int run = 0; run < RUNS; run++)
            if (gp_run(model, 0, 1, inputs, outputs, arena, 1, error, sizeof error)) return fprintf(stderr, "%s\n", error), 1;
        double each = (now() - start) / RUNS;
        least = each < least ? each : least;
    }
    printf("%zu %.2f\n", gp_kernels(model, 0), least);
    return 0;
}
