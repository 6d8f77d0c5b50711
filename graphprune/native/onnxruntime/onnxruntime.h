/* The parts of ONNX Runtime's C interface that a custom operator needs; our own words, so that compiling a model needs
 * nothing of ONNX Runtime. Functions are only ever appended to its table, so their places hold for all versions. */
#ifndef GRAPHPRUNE_ONNXRUNTIME_H
#define GRAPHPRUNE_ONNXRUNTIME_H

#include <stddef.h>
#include <stdint.h>

/* ONNX Runtime 1.16 is the first whose operators report errors by a status: CreateKernelV2 and KernelComputeV2. */
enum { ORT_VERSION = 16, ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };

typedef struct OrtStatus OrtStatus; /* NULL: all is well */
typedef struct OrtValue OrtValue;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtCustomOp OrtCustomOp;

typedef void *ort_other; /* a function that we do not call */

typedef struct {
    OrtStatus *(*CreateStatus)(int code, const char *message);
    ort_other other_1[25];
    OrtStatus *(*CreateCustomOpDomain)(const char *name, OrtCustomOpDomain **domain);
    OrtStatus *(*CustomOpDomain_Add)(OrtCustomOpDomain *domain, const OrtCustomOp *op);
    OrtStatus *(*AddCustomOpDomain)(OrtSessionOptions *options, OrtCustomOpDomain *domain);
    ort_other other_29[22];
    OrtStatus *(*GetTensorMutableData)(OrtValue *value, void **data);
    ort_other other_52[9];
    OrtStatus *(*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo *info, size_t *rank);
    OrtStatus *(*GetDimensions)(const OrtTensorTypeAndShapeInfo *info, int64_t *shape, size_t rank);
    ort_other other_63[2];
    OrtStatus *(*GetTensorTypeAndShape)(const OrtValue *value, OrtTensorTypeAndShapeInfo **info);
    ort_other other_66[20];
    OrtStatus *(*KernelInfoGetAttribute_int64)(const OrtKernelInfo *info, const char *name, int64_t *number);
    ort_other other_87[3];
    OrtStatus *(*KernelContext_GetInput)(const OrtKernelContext *context, size_t number, const OrtValue **value);
    OrtStatus *(*KernelContext_GetOutput)(OrtKernelContext *context, size_t number, const int64_t *shape, size_t rank,
                                          OrtValue **value);
    ort_other other_92;
    void (*ReleaseStatus)(OrtStatus *status);
    ort_other other_94[5];
    void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo *info);
    ort_other other_100;
    void (*ReleaseCustomOpDomain)(OrtCustomOpDomain *domain);
} OrtApi;

#define ORT_PLACE(function, place) \
    _Static_assert(offsetof(OrtApi, function) == (place) * sizeof(ort_other), "the place of " #function)
ORT_PLACE(CreateCustomOpDomain, 26);
ORT_PLACE(GetTensorMutableData, 51);
ORT_PLACE(GetDimensionsCount, 61);
ORT_PLACE(GetTensorTypeAndShape, 65);
ORT_PLACE(KernelInfoGetAttribute_int64, 86);
ORT_PLACE(KernelContext_GetInput, 90);
ORT_PLACE(ReleaseStatus, 93);
ORT_PLACE(ReleaseTensorTypeAndShapeInfo, 99);
ORT_PLACE(ReleaseCustomOpDomain, 101);

typedef struct {
    const OrtApi *(*GetApi)(uint32_t version); /* NULL: this ONNX Runtime is older */
    const char *(*GetVersionString)(void);
} OrtApiBase;

/* An operator, as of version 16. Types are numbered as in ONNX's TensorProto.DataType. 0 is the characteristic of an
 * input or output that must be there, and as a memory type the memory of the operator's own device. */
struct OrtCustomOp {
    uint32_t version;
    ort_other CreateKernel;
    const char *(*GetName)(const OrtCustomOp *op);
    const char *(*GetExecutionProviderType)(const OrtCustomOp *op);
    int (*GetInputType)(const OrtCustomOp *op, size_t number);
    size_t (*GetInputTypeCount)(const OrtCustomOp *op);
    int (*GetOutputType)(const OrtCustomOp *op, size_t number);
    size_t (*GetOutputTypeCount)(const OrtCustomOp *op);
    ort_other KernelCompute;
    void (*KernelDestroy)(void *kernel);
    int (*GetInputCharacteristic)(const OrtCustomOp *op, size_t number);
    int (*GetOutputCharacteristic)(const OrtCustomOp *op, size_t number);
    int (*GetInputMemoryType)(const OrtCustomOp *op, size_t number);
    ort_other of_variadic_operators[4];
    OrtStatus *(*CreateKernelV2)(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **kernel);
    OrtStatus *(*KernelComputeV2)(void *kernel, OrtKernelContext *context);
};

#endif
