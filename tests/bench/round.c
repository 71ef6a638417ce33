/*
 * What a round costs beyond the slowest node's own computation: four nodes and an aggregator as
 * processes on loopback. Beside it the floor measured in the same run: the six message legs as
 * bare TCP round trips, and the five syncs in a row that durability needs.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/demo/hospitals.h"

#define MAX_ROUNDS 20000u
#define LEGS 6u
#define SYNCS 5u
#define TRIES 200u

extern char **environ;

static const char *const nodes[FM_DEMO_HOSPITALS] = { "northgate", "lakeside", "hillcrest",
                                                      "riverside" };

static fm_status run_demo(const char *dir, uint64_t rounds)
{
    char self[4096], count[24];
    char *bin = NULL, *demo = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    pid_t pid;
    int status = -1;
    fm_status st;

    self[n > 0 ? n : 0] = '\0';
    snprintf(count, sizeof count, "%llu", (unsigned long long)rounds);
    if ((st = fm_path_dir(self, &bin)) != FM_OK ||
        (st = fm_path_join(bin, "fedmoe-demo", &demo)) != FM_OK)
        goto done;
    char *argv[] = { demo, "--keep", (char *)dir, "--rounds", count, "--trace", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid, demo, &actions, NULL, argv, environ) != 0)
        st = fm_fail(FM_EIO, "%s cannot be started", demo);
    else if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        st = fm_fail(FM_EIO, "%s failed; its files are in %s", demo, dir);
    posix_spawn_file_actions_destroy(&actions);
done:
    free(bin);
    free(demo);
    return st;
}

/* value[round] = max(value[round], figure in the trace); found[round]++ */
static fm_status read_trace(const char *dir, const char *party, const char *key,
                            uint64_t value[MAX_ROUNDS], uint8_t found[MAX_ROUNDS])
{
    char path[4200], pattern[64], line[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s/trace.jsonl", dir, party);
    snprintf(pattern, sizeof pattern, "{\"round\": %%lu, \"%s\": %%lu", key);
    if (!(f = fopen(path, "re")))
        return fm_fail(FM_EIO, "%s: no trace", path);
    while (fgets(line, sizeof line, f)) {
        unsigned long round, ns;

        if (sscanf(line, pattern, &round, &ns) == 2 && round < MAX_ROUNDS) {
            value[round] = ns > value[round] ? ns : value[round];
            found[round]++;
        }
    }
    fclose(f);
    return FM_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double sync_floor_ms(const char *dir)
{
    char path[4200], block[4096] = { 0 };
    uint64_t start;
    int fd;

    snprintf(path, sizeof path, "%s/sync", dir);
    if ((fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) < 0)
        return 0.0;
    start = fm_clock_now_ns();
    for (unsigned i = 0; i < TRIES; i++)
        if (write(fd, block, sizeof block) < 0 || fdatasync(fd) != 0)
            break;
    double ms = (double)(fm_clock_now_ns() - start) / 1e6 / TRIES;
    close(fd);
    unlink(path);
    return ms;
}

/* A byte there and back between two processes, halved. */
static double leg_floor_ms(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, peer;
    char byte = 0;
    uint64_t start;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&a, &len) != 0)
        return 0.0;
    if (fork() == 0) {
        peer = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(peer, (struct sockaddr *)&a, sizeof a) == 0) {
            setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            while (read(peer, &byte, 1) == 1 && write(peer, &byte, 1) == 1)
                ;
        }
        _exit(0);
    }
    peer = accept(listener, NULL, NULL);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    start = fm_clock_now_ns();
    for (unsigned i = 0; i < TRIES; i++)
        if (write(peer, &byte, 1) != 1 || read(peer, &byte, 1) != 1)
            break;
    double ms = (double)(fm_clock_now_ns() - start) / 1e6 / TRIES / 2.0;
    close(peer);
    close(listener);
    wait(NULL);
    return ms;
}

static fm_status report(const char *dir)
{
    static uint64_t wall[MAX_ROUNDS], compute[MAX_ROUNDS];
    static uint8_t walls[MAX_ROUNDS], computes[MAX_ROUNDS];
    static double beyond[MAX_ROUNDS], slowest[MAX_ROUNDS];
    size_t n = 0;
    double sync = sync_floor_ms(dir), leg = leg_floor_ms();
    fm_status st = read_trace(dir, "aggregator", "wall_ns", wall, walls);

    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++)
        st = read_trace(dir, nodes[i], "compute_ns", compute, computes);
    if (st != FM_OK)
        return st;
    for (size_t r = 0; r < MAX_ROUNDS; r++) {
        if (walls[r] == 1 && computes[r] == FM_DEMO_HOSPITALS) {
            slowest[n] = (double)compute[r] / 1e6;
            beyond[n++] = ((double)wall[r] - (double)compute[r]) / 1e6;
        }
    }
    if (n == 0)
        return fm_fail(FM_EPROTO, "no complete round in the traces of %s", dir);
    qsort(beyond, n, sizeof *beyond, by_value);
    qsort(slowest, n, sizeof *slowest, by_value);
    printf("%zu rounds, four nodes on loopback, milliseconds a round\n"
           "  slowest node's computation   median %.2f\n"
           "  beyond it                    median %.2f   90%% %.2f   99%% %.2f   (at most 20, aim "
           "3)\n"
           "  floor: %u legs of TCP %.3f + %u syncs of %.3f = %.2f; the median is %.1f times "
           "that\n",
           n, slowest[n / 2], beyond[n / 2], beyond[n * 9 / 10], beyond[n * 99 / 100], LEGS, leg,
           SYNCS, sync, LEGS * leg + SYNCS * sync, beyond[n / 2] / (LEGS * leg + SYNCS * sync));
    return FM_OK;
}

int main(int argc, char **argv)
{
    uint64_t rounds = 200;
    const char *keep = NULL;
    char dir[] = "/tmp/fedmoe-round-XXXXXX";
    const fm_cli_option options[] = {
        { "rounds", FM_CLI_U64, &rounds, "N", "default 200", false, 1, MAX_ROUNDS - 1 },
        { "keep", FM_CLI_STRING, &keep, "DIR", "where the run lies; default: removed", false, 0,
          0 },
    };
    const fm_cli_spec spec = { .program = "bench-round",
                               .summary = "Wall time of a round beyond the nodes' computation.",
                               .examples = "./dev bench round",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;
    fm_status st;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (!keep && !mkdtemp(dir)) {
        (void)fm_fail(FM_EIO, "%s: no temporary directory", dir);
        return fm_cli_failed(spec.program);
    }
    if ((st = run_demo(keep ? keep : dir, rounds)) == FM_OK)
        st = report(keep ? keep : dir);
    if (!keep && st == FM_OK) {
        char command[64];

        snprintf(command, sizeof command, "rm -rf %s", dir);
        if (system(command) != 0)
            fprintf(stderr, "%s was left behind\n", dir);
    }
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
