/* fails BYTES: run a model whose input 0 is one index, which is outside, with so many bytes for the error. */
#include "shared.h"

int main(int count, char **arguments) {
    CHECK(count == 2);
    char error[512];
    size_t bytes = (size_t)atoi(arguments[1]);
    gp_model *model = gp_open(NULL, 1, error, sizeof error);
    CHECK(model);
    buffers with = make_buffers(model, 0);
    const void *inputs[] = {with.input};
    void *outputs[] = {with.output};
    memset(with.input, 0x7f, gp_input(model, 0, 0).bytes);
    memset(error, '#', sizeof error);
    int failed = gp_run(model, 0, 1, inputs, outputs, NULL, 2, bytes ? error : NULL, bytes);
    for (size_t i = bytes; i < sizeof error; i++) CHECK(error[i] == '#');
    if (failed && bytes) printf("%s", error);
    memset(with.input, 0, gp_input(model, 0, 0).bytes);
    run_once(model, with, NULL, 2); /* nothing of the error is left */
    free_buffers(with);
    gp_close(model);
    return failed ? 1 : 0;
}
