/* A process that has run on two threads forks; both it and its child go on running on two threads. */
#include "shared.h"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 20, SECONDS = 60 };

static int threads_of_this_process(void) {
    int entries = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    while (readdir(tasks)) entries++;
    closedir(tasks);
    return entries - 2; /* . and .. */
}

static void run_often(const gp_model *model, buffers expected) {
    buffers found = make_buffers(model, 5);
    for (int i = 0; i < RUNS; i++) {
        run_once(model, found, NULL, 2);
        CHECK(!memcmp(expected.output, found.output, found.output_bytes));
    }
    free_buffers(found);
    CHECK(threads_of_this_process() == 2);
}

int main(void) {
    char error[256];
    gp_model *model = gp_open(NULL, 0, error, sizeof error);
    CHECK(model);
    alarm(SECONDS); /* one that waits for threads it does not have would wait for ever */
    buffers expected = make_buffers(model, 5);
    run_once(model, expected, NULL, 2);
    pid_t child = fork();
    if (!child) alarm(SECONDS);
    run_often(model, expected);
    free_buffers(expected);
    gp_close(model);
    int status = 0;
    if (child) CHECK(waitpid(child, &status, 0) == child);
    CHECK(!status);
    return 0;
}
