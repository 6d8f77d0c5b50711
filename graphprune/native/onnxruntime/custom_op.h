/* What the two parts of the operator share: the model of this library, and its nodes. */
#ifndef GRAPHPRUNE_CUSTOM_OP_H
#define GRAPHPRUNE_CUSTOM_OP_H

#include "../program.h"
#include "onnxruntime.h"

enum { ERROR_BYTES = 2048 };

#define TRY(call)                        \
    do {                                 \
        OrtStatus *status = (call);      \
        if (status) return status;       \
    } while (0)

/* Set by the first registration, and the same until the library is unloaded. */
extern GP_INTERNAL const OrtApi *gp_ort;
extern GP_INTERNAL gp_model *gp_ort_model;

GP_INTERNAL OrtStatus *gp_create_node(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **node);
GP_INTERNAL OrtStatus *gp_run_node(void *node, OrtKernelContext *context);
GP_INTERNAL void gp_destroy_node(void *node);
GP_INTERNAL int gp_has_nodes(void);

#endif
