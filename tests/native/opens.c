/* opens PATH BYTES CHECK: open a file, comparing checksums or not, with so many bytes for the error,
 * which is printed; what lies behind stays as it is. */
#include "shared.h"

int main(int count, char **arguments) {
    CHECK(count == 4);
    char error[512];
    size_t bytes = (size_t)atoi(arguments[2]);
    CHECK(bytes < sizeof error);
    memset(error, '#', sizeof error);
    gp_model *model = gp_open(arguments[1], atoi(arguments[3]), bytes ? error : NULL, bytes);
    for (size_t i = bytes; i < sizeof error; i++) CHECK(error[i] == '#');
    if (!model && bytes) printf("%s", error);
    gp_close(model);
    return model ? 0 : 1;
}
