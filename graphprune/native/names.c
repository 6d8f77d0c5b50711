/* The names that TVM's code generator gives to what kernels call; each model has its own. The first three are pointers. */
#include "program.h"

int (*__TVMBackendParallelLaunch)(gp_body *, void *, int) = gp_launch;
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = gp_take_workspace;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = gp_give_workspace;

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char *const *parts, int32_t count) {
    (void)kind;
    gp_raise(parts, count);
}
