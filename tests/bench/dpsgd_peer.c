#include "dpsgd_peer.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static json_t *answer(dpsgd_peer *p)
{
    char *line = NULL;
    size_t room = 0;
    json_t *j = NULL;

    if (getline(&line, &room, p->from) > 0 && !(j = json_loads(line, 0, NULL)))
        printf("%s", line);
    free(line);
    return j;
}

static void run_child(const int in[2], const int out[2], const char *python, size_t experts)
{
    char count[24];

    (void)snprintf(count, sizeof count, "%zu", experts);
    (void)dup2(in[0], STDIN_FILENO);
    (void)dup2(out[1], STDOUT_FILENO);
    (void)dup2(out[1], STDERR_FILENO); /* so that its reason is printed among the rest */
    (void)close(in[0]);
    (void)close(in[1]);
    (void)close(out[0]);
    (void)close(out[1]);
    execlp(python, python, BENCH_PEER, "--serve", "--experts", count, (char *)NULL);
    (void)dprintf(STDOUT_FILENO, "%s does not run\n", python);
    _exit(127);
}

bool dpsgd_peer_start(dpsgd_peer *p, const char *python, size_t experts)
{
    int in[2], out[2];
    json_t *about;

    memset(p, 0, sizeof *p);
    (void)signal(SIGPIPE, SIG_IGN);
    if (pipe(in))
        return false;
    if (pipe(out)) {
        (void)close(in[0]);
        (void)close(in[1]);
        return false;
    }
    (void)fflush(NULL);
    if ((p->child = fork()) == 0)
        run_child(in, out, python, experts);
    (void)close(in[0]);
    (void)close(out[1]);
    p->to = fdopen(in[1], "w");
    p->from = fdopen(out[0], "r");
    if (p->child < 0 || !p->to || !p->from || !(about = answer(p))) {
        dpsgd_peer_stop(p);
        printf("PyTorch is not measured.\n");
        return false;
    }
    (void)snprintf(p->about, sizeof p->about, "PyTorch %s, %d thread, BLAS %s, core type %s",
                   json_string_value(json_object_get(about, "torch")),
                   (int)json_integer_value(json_object_get(about, "threads")),
                   json_string_value(json_object_get(about, "blas")),
                   json_string_value(json_object_get(about, "core")));
    json_decref(about);
    return true;
}

bool dpsgd_peer_measure(dpsgd_peer *p, const char *model, const char *step, double seconds,
                        dpsgd_peer_time *out)
{
    const char *way;
    json_t *j;

    if (fprintf(p->to, "%s %s %g\n", model, step, seconds) < 0 || fflush(p->to) != 0 ||
        !(j = answer(p)))
        return false;
    out->best_s = json_real_value(json_object_get(j, "best"));
    out->median_s = json_real_value(json_object_get(j, "median"));
    out->plainest_s = json_real_value(json_object_get(j, "plainest"));
    way = json_string_value(json_object_get(j, "way"));
    (void)snprintf(out->way, sizeof out->way, "%s", way ? way : "");
    json_decref(j);
    return way && out->best_s > 0.0;
}

void dpsgd_peer_stop(dpsgd_peer *p)
{
    if (p->to)
        (void)fclose(p->to); /* the end of its input ends it */
    if (p->from)
        (void)fclose(p->from);
    if (p->child > 0)
        (void)waitpid(p->child, NULL, 0);
    memset(p, 0, sizeof *p);
}
