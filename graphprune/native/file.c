/* The weights and the description at the end of a compiled file, mapped; and what the processor must have. */
#define _GNU_SOURCE
#include "program.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char *error, size_t error_bytes, const char *code, const char *path, const char *why) {
    snprintf(error, error_bytes, "%s: '%s' %s", code, path, why);
    return -1;
}

/* The file that the code was loaded from. */
static const char *path_of(const gp_linked *code) {
    Dl_info info;
    return dladdr(code, &info) ? info.dli_fname : "";
}

/* Take what lies at `data` for the weights and the description of the model's code. */
static int take_data(gp_model *model, const uint8_t *data, const char *path, int check, char *error, size_t error_bytes) {
    const gp_linked *code = model->code;
    if (check && gp_checksum(data, code->weights_bytes + code->description_bytes) != code->checksum)
        return fail(error, error_bytes, "GP410", path, "is damaged: the checksum of its weights differs");
    model->weights = data;
    model->description = (const char *)data + code->weights_bytes;
    return 0;
}

static int read_footer(int file, gp_footer *footer, size_t *file_bytes) {
    struct stat status;
    if (fstat(file, &status) || (size_t)status.st_size < sizeof *footer) return -1;
    *file_bytes = (size_t)status.st_size;
    if (pread(file, footer, sizeof *footer, status.st_size - (off_t)sizeof *footer) != sizeof *footer) return -1;
    return memcmp(footer->magic, "graphprune model", sizeof footer->magic) || footer->format != GP_FORMAT ? -1 : 0;
}

/* Whether the footer of a file is that of the model's code. */
static int is_of_code(const gp_footer *footer, const gp_linked *code, size_t file_bytes) {
    uint64_t behind_code = code->weights_bytes + code->description_bytes + sizeof *footer;
    return footer->checksum == code->checksum && footer->weights_bytes == code->weights_bytes &&
           footer->description_bytes == code->description_bytes && footer->code_bytes % GP_ALIGNMENT == 0 &&
           file_bytes >= behind_code && footer->code_bytes == file_bytes - behind_code;
}

static int map_file(gp_model *model, int file, const char *path, int check, char *error, size_t error_bytes) {
    gp_footer footer;
    size_t file_bytes, page = (size_t)sysconf(_SC_PAGESIZE);
    if (read_footer(file, &footer, &file_bytes))
        return fail(error, error_bytes, "GP410", path, "does not end as a compiled model of this format does");
    if (!is_of_code(&footer, model->code, file_bytes))
        return fail(error, error_bytes, "GP410", path, "holds the weights of another model");
    size_t start = footer.code_bytes / page * page;
    uint8_t *mapped = mmap(NULL, file_bytes - start, PROT_READ, MAP_PRIVATE, file, (off_t)start);
    if (mapped == MAP_FAILED) return fail(error, error_bytes, "GP416", path, strerror(errno));
    model->mapped = mapped, model->mapped_bytes = file_bytes - start;
    return take_data(model, mapped + (footer.code_bytes - start), path, check, error, error_bytes);
}

int gp_map(gp_model *model, const char *path, int check, char *error, size_t error_bytes) {
    const gp_linked *code = model->code;
    if (!path && code->data) return take_data(model, code->data, "the program", check, error, error_bytes);
    if (!path) path = path_of(code);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return fail(error, error_bytes, "GP531", path, strerror(errno));
    int failed = map_file(model, file, path, check, error, error_bytes);
    close(file);
    if (failed) gp_unmap(model);
    return failed;
}

void gp_unmap(gp_model *model) {
    if (model->mapped) munmap(model->mapped, model->mapped_bytes);
    model->mapped = NULL;
}

static int has_word(const char *line, const char *word) {
    size_t length = strlen(word);
    for (const char *at = strstr(line, word); at; at = strstr(at + 1, word))
        if (at > line && at[-1] == ' ' && (at[length] == ' ' || at[length] == '\n' || !at[length])) return 1;
    return 0;
}

/* The line of /proc/cpuinfo that names this processor's instruction sets; empty where there is none. */
static void read_features(char *line, int bytes) {
    FILE *file = fopen("/proc/cpuinfo", "re");
    int found = 0;
    while (file && !found && fgets(line, bytes, file))
        found = !strncmp(line, "flags", 5) || !strncmp(line, "Features", 8);
    if (file) fclose(file);
    if (!found) line[0] = 0;
}

int gp_check_processor(const gp_linked *code, char *error, size_t error_bytes) {
    char line[8192], missing[512] = "";
    read_features(line, sizeof line);
    for (const char *const *feature = code->features; *feature; feature++)
        if (!has_word(line, *feature)) {
            size_t used = strlen(missing);
            snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", *feature);
        }
    if (!missing[0]) return 0;
    snprintf(error, error_bytes, "GP419: compiled for %s, but this processor lacks %s", code->target, missing);
    return -1;
}
