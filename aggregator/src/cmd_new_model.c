/* new --schema: the first model, made by fedmoe-model, so that the aggregator itself knows of models
 * no more than their tensors. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "fedmoe/base/memory.h"

extern char **environ;

#define PROGRAM "fedmoe-model"

/** Beside this program, where both were installed or built; else wherever PATH finds it. */
static void find_program(char *path, size_t size)
{
    const ssize_t n = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash && (size_t)(slash + 1 - path) + sizeof PROGRAM <= size) {
        memcpy(slash + 1, PROGRAM, sizeof PROGRAM);
        if (access(path, X_OK) == 0)
            return;
    }
    (void)snprintf(path, size, "%s", PROGRAM);
}

fm_status fm_cmd_new_model(const char *schema, const char *output)
{
    char program[4096];
    const char *argv[] = { PROGRAM, "new", "--schema", schema, "--output", output, NULL };
    pid_t child;
    int rc, ended = 0;

    find_program(program, sizeof program);
    (void)fflush(stdout); /* what the child says comes behind it */
    rc = posix_spawnp(&child, program, NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (rc != 0)
        return fm_fail(FM_ENOTFOUND,
                       "%s, which makes a model of a schema, cannot be started (%s): install the "
                       "package fedmoe-tools, or give --model",
                       PROGRAM, strerror(rc));
    while (waitpid(child, &ended, 0) < 0)
        if (errno != EINTR)
            return fm_fail(FM_EIO, "%s: %s", PROGRAM, strerror(errno));
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
        return fm_fail(FM_EINVAL, "%s: no model could be made of it; %s new says why", schema,
                       PROGRAM);
    return FM_OK;
}
