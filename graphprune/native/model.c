/* Opening, describing and closing a model. */
#include "program.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int open_models;

#define OUTSIDE(type)                                                               \
    do {                                                                            \
        const type *value = (const void *)(weights + range->offset);                \
        type least = (type)range->least, most = (type)range->most;                  \
        int outside = 0;                                                            \
        for (size_t i = 0; i < range->count; i++)                                   \
            outside |= (value[i] < least) | (value[i] > most);                      \
        return outside;                                                             \
    } while (0)

static int is_outside(const gp_range *range, const uint8_t *weights) {
    switch (range->is_signed ? -range->element_bytes : range->element_bytes) {
        case 1: OUTSIDE(uint8_t);
        case 2: OUTSIDE(uint16_t);
        case 4: OUTSIDE(uint32_t);
        case 8: OUTSIDE(uint64_t);
        case -1: OUTSIDE(int8_t);
        case -2: OUTSIDE(int16_t);
        case -4: OUTSIDE(int32_t);
        default: OUTSIDE(int64_t);
    }
}

static int check_ranges(const gp_model *model, char *error, size_t error_bytes) {
    for (size_t i = 0; i < model->code->ranges; i++)
        if (is_outside(&model->code->range[i], model->weights)) {
            snprintf(error, error_bytes, "GP410: an offset among the weights leads outside");
            return -1;
        }
    return 0;
}

static gp_model *open_code(const gp_linked *code, const char *path, int check, char *error, size_t error_bytes) {
    if (gp_check_processor(code, error, error_bytes)) return NULL;
    gp_model *model = calloc(1, sizeof *model);
    if (!model) {
        snprintf(error, error_bytes, "GP416: no memory is left");
        return NULL;
    }
    model->code = code;
    if (gp_map(model, path, check, error, error_bytes)) {
        free(model);
        return NULL;
    }
    atomic_fetch_add(&open_models, 1);
    if (check_ranges(model, error, error_bytes)) {
        gp_close(model);
        return NULL;
    }
    return model;
}

gp_model *gp_open(const char *path, int check, char *error, size_t error_bytes) {
    size_t hosted = __stop_gp_models - __start_gp_models == 1 ? __start_gp_models[0]->hosted : 0;
    if (!hosted) return gp_open_pieces(path, check, error, error_bytes);
    snprintf(error, error_bytes, "GP487: %zu of the model's nodes run on ONNX Runtime, load the file in Python", hosted);
    return NULL;
}

gp_model *gp_open_pieces(const char *path, int check, char *error, size_t error_bytes) {
    int models = (int)(__stop_gp_models - __start_gp_models);
    if (models == 1) return open_code(__start_gp_models[0], path, check, error, error_bytes);
    snprintf(error, error_bytes, "GP633: %d models are linked into the program, open each with gp_open_linked", models);
    return NULL;
}

gp_model *gp_open_linked(const gp_linked *linked, int check, char *error, size_t error_bytes) {
    if (linked->format == GP_FORMAT) return open_code(linked, NULL, check, error, error_bytes);
    snprintf(error, error_bytes, "GP408: a linked model has format %u, expected %u; compile it again",
             (unsigned)linked->format, GP_FORMAT);
    return NULL;
}

void gp_close(gp_model *model) {
    if (!model) return;
    gp_unmap(model);
    free(model);
    if (atomic_fetch_sub(&open_models, 1) == 1) gp_stop_pool();
}

const char *gp_describe(const gp_model *model) { return model->description; }

size_t gp_programs(const gp_model *model) { return model->code->programs; }

size_t gp_inputs(const gp_model *model) { return model->code->program[0].input_count; }

size_t gp_outputs(const gp_model *model) { return model->code->program[0].output_count; }

gp_tensor gp_input(const gp_model *model, size_t program, size_t number) {
    return model->code->program[program].inputs[number];
}

gp_tensor gp_output(const gp_model *model, size_t program, size_t number) {
    return model->code->program[program].outputs[number];
}

size_t gp_kernels(const gp_model *model, size_t program) { return (size_t)model->code->program[program].kernels; }
