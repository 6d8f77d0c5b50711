/* Runs the compiled model that it is linked with: inputs come from stdin, outputs go to stdout, each as the elements of
 * one tensor after another; a summary goes to stderr.
 *
 *     graphprune compile model.onnx model.a
 *     cc -I"$(graphprune include)" run.c model.a -lpthread -ldl -lm -o run
 *     ./run < inputs.bin > outputs.bin
 */
#include <graphprune.h>

#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 1, THREADS = 2 };

static void print_tensor(const char *what, gp_tensor tensor) {
    fprintf(stderr, "%s %s: type %d, shape", what, tensor.name, (int)tensor.type);
    for (int32_t axis = 0; axis < tensor.rank; axis++) fprintf(stderr, " %lld", (long long)tensor.shape[axis]);
    fprintf(stderr, ", %lu bytes\n", (unsigned long)tensor.bytes);
}

/* The bytes of a tensor; the first extent of some is GP_SAMPLES. */
static size_t bytes_of(gp_tensor tensor) {
    return tensor.rank && tensor.shape[0] == GP_SAMPLES ? tensor.bytes * SAMPLES : tensor.bytes;
}

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    if (memory) return memory;
    fprintf(stderr, "no memory is left\n");
    exit(1);
}

int main(void) {
    char error[256];
    gp_model *model = gp_open(NULL, 1, error, sizeof error);
    if (!model) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    size_t inputs = gp_inputs(model), outputs = gp_outputs(model);
    void **input = allocate(inputs * sizeof *input), **output = allocate(outputs * sizeof *output);
    for (size_t i = 0; i < inputs; i++) {
        gp_tensor tensor = gp_input(model, 0, i);
        print_tensor("input", tensor);
        input[i] = allocate(bytes_of(tensor));
        if (fread(input[i], 1, bytes_of(tensor), stdin) != bytes_of(tensor)) {
            fprintf(stderr, "stdin ends before input %s does\n", tensor.name);
            return 1;
        }
    }
    for (size_t i = 0; i < outputs; i++) {
        print_tensor("output", gp_output(model, 0, i));
        output[i] = allocate(bytes_of(gp_output(model, 0, i)));
    }
    void *arena = allocate(gp_arena_bytes(model, 0, SAMPLES, THREADS)); /* keep it for the next run */
    if (gp_run(model, 0, SAMPLES, (const void *const *)input, output, arena, THREADS, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    for (size_t i = 0; i < outputs; i++) fwrite(output[i], 1, bytes_of(gp_output(model, 0, i)), stdout);

    for (size_t i = 0; i < inputs; i++) free(input[i]);
    for (size_t i = 0; i < outputs; i++) free(output[i]);
    free(input);
    free(output);
    free(arena);
    gp_close(model);
    return 0;
}
