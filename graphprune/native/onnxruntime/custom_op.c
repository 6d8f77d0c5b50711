/* A compiled model as an operator of ONNX Runtime, which loads the library with register_custom_ops_library. */
#include "custom_op.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

const OrtApi *gp_ort;
gp_model *gp_ort_model; /* opened here, while the file is surely the one that was loaded */
static OrtCustomOpDomain *domain;
static char domain_name[64];

static const char *get_name(const OrtCustomOp *op) { return (void)op, "Model"; }

static const char *get_provider(const OrtCustomOp *op) { return (void)op, "CPUExecutionProvider"; }

static size_t count_inputs(const OrtCustomOp *op) { return (void)op, gp_inputs(gp_ort_model); }

static size_t count_outputs(const OrtCustomOp *op) { return (void)op, gp_outputs(gp_ort_model); }

static int get_input_type(const OrtCustomOp *op, size_t number) {
    return (void)op, gp_input(gp_ort_model, 0, number).type;
}

static int get_output_type(const OrtCustomOp *op, size_t number) {
    return (void)op, gp_output(gp_ort_model, 0, number).type;
}

static int get_default(const OrtCustomOp *op, size_t number) { return (void)op, (void)number, 0; }

static const OrtCustomOp model_op = {
    .version = ORT_VERSION,
    .GetName = get_name,
    .GetExecutionProviderType = get_provider,
    .GetInputType = get_input_type,
    .GetInputTypeCount = count_inputs,
    .GetOutputType = get_output_type,
    .GetOutputTypeCount = count_outputs,
    .KernelDestroy = gp_destroy_node,
    .GetInputCharacteristic = get_default,
    .GetOutputCharacteristic = get_default,
    .GetInputMemoryType = get_default,
    .CreateKernelV2 = gp_create_node,
    .KernelComputeV2 = gp_run_node,
};

/* ONNX Runtime refuses a second library with the same domain in a session, so each model has its own. It says which
 * code and which weights: a file of another model never finds this operator. */
static OrtStatus *open_model(void) {
    char error[ERROR_BYTES];
    gp_footer footer;
    if (!(gp_ort_model = gp_open(NULL, 1, error, sizeof error))) return gp_ort->CreateStatus(ORT_FAIL, error);
    memcpy(&footer, (const uint8_t *)gp_ort_model->mapped + gp_ort_model->mapped_bytes - sizeof footer, sizeof footer);
    snprintf(domain_name, sizeof domain_name, "graphprune.%016llx%08x", (unsigned long long)footer.checksum,
             (unsigned)footer.code_crc);
    return NULL;
}

static OrtStatus *register_once(void) {
    if (!gp_ort_model) TRY(open_model());
    if (domain) return NULL;
    OrtCustomOpDomain *created;
    TRY(gp_ort->CreateCustomOpDomain(domain_name, &created));
    OrtStatus *status = gp_ort->CustomOpDomain_Add(created, &model_op);
    if (status)
        gp_ort->ReleaseCustomOpDomain(created);
    else
        domain = created;
    return status;
}

__attribute__((visibility("default")))
OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const OrtApi *found = base->GetApi(ORT_VERSION);
    if (!found) {
        char error[ERROR_BYTES];
        snprintf(error, sizeof error, "GP622: this is ONNX Runtime %s, expected 1.%d or later",
                 base->GetVersionString(), ORT_VERSION);
        return base->GetApi(1)->CreateStatus(ORT_FAIL, error);
    }
    pthread_mutex_lock(&lock);
    gp_ort = found;
    OrtStatus *status = register_once();
    pthread_mutex_unlock(&lock);
    return status ? status : gp_ort->AddCustomOpDomain(options, domain);
}

/* A program may end while threads still run the model: then it stays open. */
__attribute__((destructor)) static void unload(void) {
    if (gp_has_nodes()) return;
    if (domain) gp_ort->ReleaseCustomOpDomain(domain);
    gp_close(gp_ort_model);
}
