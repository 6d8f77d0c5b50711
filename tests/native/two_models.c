/* Two models in one program: opened by name, run in turns on the same threads, written to stdout. */
#include "shared.h"

extern const gp_linked gp_model_first, gp_model_the_2nd;

int main(void) {
    char error[256];
    CHECK(!gp_open(NULL, 0, error, sizeof error));
    fprintf(stderr, "%s\n", error);
    uint32_t old_format = 7; /* is what such a model begins with, and all that is looked at */
    CHECK(!gp_open_linked((const gp_linked *)&old_format, 0, error, sizeof error) && !strncmp(error, "GP408: ", 7));
    gp_model *first = gp_open_linked(&gp_model_first, 1, error, sizeof error);
    gp_model *second = gp_open_linked(&gp_model_the_2nd, 1, error, sizeof error);
    CHECK(first && second);
    CHECK((uintptr_t)gp_describe(first) % 64 == 0); /* it follows the weights, whose size is a multiple */
    CHECK((uintptr_t)gp_describe(second) % 64 == 0);
    buffers of_first = make_buffers(first, 0), of_second = make_buffers(second, 0);
    for (int i = 0; i < 10; i++) {
        run_once(first, of_first, NULL, 2);
        run_once(second, of_second, NULL, 2);
    }
    fwrite(of_first.output, 1, of_first.output_bytes, stdout);
    gp_close(first);
    run_once(second, of_second, NULL, 2);
    fwrite(of_second.output, 1, of_second.output_bytes, stdout);
    gp_close(second);
    free_buffers(of_first);
    free_buffers(of_second);
    return 0;
}
