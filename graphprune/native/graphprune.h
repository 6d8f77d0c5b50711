/* Running models that graphprune compiled. C99; usable from C++.
 *
 * A compiled model is a shared library, or an object file or archive to link statically, with these functions in it. A
 * run writes the caller's outputs and the caller's arena and nothing else, so any number of threads may run one model,
 * each with an arena of its own. Functions that take `error` write a text of at most `error_bytes` bytes, with its
 * closing zero, where they fail; it starts with a code of docs/errors.md, as "GP413: ...".
 */
#ifndef GRAPHPRUNE_H
#define GRAPHPRUNE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GP_API
#define GP_API
#endif

/* An open model. */
typedef struct gp_model gp_model;

/* A model that is linked into the program. The file NAME.o or NAME.a defines one, which is to be declared as
 *     extern const gp_linked gp_model_NAME;
 * with `extern "C"` in C++; in its name, all but letters and digits of ASCII are underscores. */
typedef struct gp_linked gp_linked;

/* The threads that help runs. */
typedef struct gp_pool gp_pool;

/* The extent of a shape that is the number of samples, which each run chooses. */
#define GP_SAMPLES (-1)

/* An input or an output. */
typedef struct {
    const char *name;
    int32_t type; /* as in ONNX's TensorProto.DataType: 1 float, 7 int64, 9 bool, 10 float16, 16 bfloat16, ... */
    int32_t rank;
    const int64_t *shape;
    size_t bytes; /* of the tensor, or of one sample of it where an extent is GP_SAMPLES */
} gp_tensor;

/* Open a model: map its weights, and check that they belong to this code, that no offset among them leads outside, and
 * that this processor has the instructions. `path` is the file of the library; NULL stands for the file that this
 * function was loaded from, or for the one model that was linked into the program. With `check`, the checksum of weights
 * and description is compared too, at the speed of memory. NULL where it fails. */
GP_API gp_model *gp_open(const char *path, int check, char *error, size_t error_bytes);

/* As gp_open, one of several models that are linked into the program. They share these functions, and threads. */
GP_API gp_model *gp_open_linked(const gp_linked *linked, int check, char *error, size_t error_bytes);

/* What the model is, as JSON: inputs, outputs, target, versions, what was pruned, kernels. Lives as long as the model. */
GP_API const char *gp_describe(const gp_model *model);

/* A model may hold programs for several sets of input shapes; they have the same inputs and outputs by name. */
GP_API size_t gp_programs(const gp_model *model);
GP_API size_t gp_inputs(const gp_model *model);
GP_API size_t gp_outputs(const gp_model *model);
GP_API gp_tensor gp_input(const gp_model *model, size_t program, size_t number);
GP_API gp_tensor gp_output(const gp_model *model, size_t program, size_t number);

/* Bytes of the arena of one run. It may have any content, and any alignment; new ones are best filled with zeros, as
 * calloc does, since kernels also compute on lanes that nobody reads, which takes long where these hold denormals. */
GP_API size_t gp_arena_bytes(const gp_model *model, size_t program, int64_t samples, int threads);

/* Run once. `samples` counts where the program's shapes have GP_SAMPLES, else it is ignored. Buffers hold the elements
 * in row-major order; outputs overlap nothing else. `arena` may be NULL: it is then allocated, and freed again.
 * `threads` is how many threads work at most, the calling one among them. 0 where it succeeds. */
GP_API int gp_run(const gp_model *model, size_t program, int64_t samples, const void *const *inputs,
                  void *const *outputs, void *arena, int threads, char *error, size_t error_bytes);

/* As gp_run, on the calling thread and as many more as `threads` says, kernel after kernel; `seconds` gets the time of
 * each of gp_kernels(), summed over the samples. */
GP_API size_t gp_kernels(const gp_model *model, size_t program);
GP_API int gp_time(const gp_model *model, size_t program, int64_t samples, const void *const *inputs,
                   void *const *outputs, void *arena, int threads, double *seconds, char *error, size_t error_bytes);

/* Close a model that no run uses any more. Closing the last one ends the threads of this library's pool. */
GP_API void gp_close(gp_model *model);

/* The threads that runs of this library are helped by, and having them helped by those of another one instead, so that
 * a process with several models has one pool. A library whose pool others use is to stay loaded as long as they do.
 * gp_set_pool returns 0, or -1 where the other library is of a version that does not fit. */
GP_API gp_pool *gp_get_pool(void);
GP_API int gp_set_pool(gp_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
