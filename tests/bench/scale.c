/*
 * How much an aggregator needs for many nodes, or for a large model: its peak memory over the model's
 * size, and its processor time. The aggregator is the real program; see scale.h for the nodes.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/safetensors.h"
#include "scale.h"

#define PATH_CAP 4300

extern char **environ;

typedef struct {
    uint64_t nodes, parameters, rounds, lost, max_units, port;
    char dir[64], bin[4096];
} options;

static void path_of(const options *o, const char *name, char out[PATH_CAP])
{
    (void)snprintf(out, PATH_CAP, "%s/%s", o->dir, name);
}

/* ---- the federation's files ---- */

static fm_status make_people(const options *o, swarm *s)
{
    char ca[PATH_CAP], dir[PATH_CAP], name[32];
    fm_ca_request r = {
        .role = FM_ROLE_AGGREGATOR, .name = "hub", .type = FM_KEY_ED25519, .days = 9
    };
    fm_status st;

    path_of(o, "ca", ca);
    path_of(o, "hub", dir);
    if ((st = fm_ca_new(ca, "scale", FM_KEY_ED25519, 30)) != FM_OK ||
        (st = fm_ca_issue(ca, &r, dir)) != FM_OK || (st = fm_trust_load(dir, &s->trust)) != FM_OK)
        return st;
    for (uint32_t i = 0; st == FM_OK && i < s->count; i++) {
        (void)snprintf(name, sizeof name, "node-%u", i);
        r = (fm_ca_request){
            .role = FM_ROLE_NODE, .name = name, .type = FM_KEY_ED25519, .days = 9
        };
        path_of(o, name, dir);
        if ((st = fm_ca_issue(ca, &r, dir)) == FM_OK)
            st = fm_identity_load(dir, &s->node[i].identity);
        s->node[i].swarm = s;
        s->node[i].id = i;
    }
    return st;
}

static fm_status make_model(const options *o)
{
    const size_t bytes = (size_t)o->parameters * sizeof(float);
    const fm_safetensors_meta meta[] = { { "fedmoe.kind", "tabular-moe" },
                                         { "fedmoe.model", "kind: bench\n" },
                                         { "fedmoe.schema", "columns: none\n" } };
    /* Pages that nobody writes to cost nothing. */
    void *zeros = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const fm_tensor_view weights = { "weights", "F32", 1, { o->parameters }, zeros, bytes };
    char path[PATH_CAP];
    fm_status st;

    if (zeros == MAP_FAILED)
        return fm_fail(FM_ENOMEM, "the model");
    path_of(o, "model.safetensors", path);
    st = fm_safetensors_replace(path, 0644, &weights, 1, meta, 3);
    (void)munmap(zeros, bytes);
    return st;
}

static fm_status make_config(const options *o)
{
    const uint64_t quorum = o->nodes - o->lost > o->nodes / 2 + 1
                                ? o->nodes - o->lost - (o->lost > 0)
                                : o->nodes / 2 + 1;
    char path[PATH_CAP], text[2048];
    int n = snprintf(text, sizeof text,
                     "name: scale\npurpose: how much it needs\n"
                     "listen: {door: \"tcp://127.0.0.1:%llu\"}\n"
                     "model: model.safetensors\n"
                     "privacy: {unit: record, epsilon: 4.0, delta: 1.0e-5, clip_norm: 1.0,\n"
                     "          sampling_rate: 0.1, expected_units: %llu, max_units: %llu}\n"
                     "cohort: {nodes: %llu, min: %llu, quorum: %llu, colluders: 0}\n"
                     "training: {rounds: %llu, optimizer: sgd, learning_rate: 0.1, momentum: 0,\n"
                     "           averaging: 0}\n"
                     "timeouts: {join_s: 120, round_s: 900}\n",
                     (unsigned long long)o->port, (unsigned long long)o->max_units,
                     (unsigned long long)o->max_units, (unsigned long long)o->nodes,
                     (unsigned long long)quorum, (unsigned long long)quorum,
                     (unsigned long long)o->rounds);

    path_of(o, "federation.yaml", path);
    return fm_file_replace(path, text, (size_t)n, 0644);
}

/* ---- the aggregator's process ---- */

static fm_status spawn(const options *o, char *const argv[], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    char log[PATH_CAP];
    int code;

    path_of(o, "log", log);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    code = posix_spawn(pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? FM_OK : fm_fail(FM_EIO, "%s cannot be started", argv[0]);
}

static fm_status start_aggregator(options *o, pid_t *pid)
{
    char program[PATH_CAP], agg[PATH_CAP], config[PATH_CAP], hub[PATH_CAP];
    int status = 0;
    fm_status st;

    (void)snprintf(program, sizeof program, "%s/fedmoe-aggregator", o->bin);
    path_of(o, "agg", agg);
    path_of(o, "federation.yaml", config);
    path_of(o, "hub", hub);
    char *init[] = { program, "init",       "--directory", agg, "--config",
                     config,  "--identity", hub,           NULL };
    char *start[] = { program, "start", "--directory", agg, "--linger", "600", NULL };
    if ((st = spawn(o, init, pid)) != FM_OK)
        return st;
    if (waitpid(*pid, &status, 0) < 0 || status != 0)
        return fm_fail(FM_EIO, "fedmoe-aggregator init failed: see %s/log", o->dir);
    return spawn(o, start, pid);
}

/* kB of VmHWM, VmRSS ... */
static long status_kb(pid_t pid, const char *key)
{
    char path[64], line[256];
    long kb = 0;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!(f = fopen(path, "re")))
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = strtol(line + strlen(key) + 1, NULL, 10);
    (void)fclose(f);
    return kb;
}

static double cpu_s(pid_t pid)
{
    unsigned long user = 0, kernel = 0;
    char path[64], text[1024] = "";
    const char *at;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!(f = fopen(path, "re")))
        return 0.0;
    if (fgets(text, sizeof text, f) && (at = strrchr(text, ')')) &&
        sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        user = kernel = 0;
    (void)fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- the run ---- */

typedef struct {
    pid_t pid;
    double begun_cpu_s, updates_cpu_s; /* since a mark; of all updates */
    double first_cpu_s, last_cpu_s;
    uint64_t begun_ms, end_ms;
    long peak_kb;
} figures;

static void mark(swarm *s, bool begin)
{
    figures *f = s->ctx;
    const double now = cpu_s(f->pid);

    if (begin)
        f->begun_cpu_s = now;
    else
        f->updates_cpu_s += now - f->begun_cpu_s;
}

static bool ended(pid_t pid)
{
    int status;

    return waitpid(pid, &status, WNOHANG) == pid;
}

static fm_status run(const options *o, swarm *s, pid_t pid, figures *f)
{
    fm_status st = FM_OK;

    while (st == FM_OK && s->finished < s->count) {
        const uint64_t rounds = s->rounds;

        for (uint32_t i = 0; st == FM_OK && i < s->count; i++)
            st = scale_node_turn(&s->node[i], i == 0);
        if (st == FM_ETIMEOUT) /* the door is not open yet, or busy */
            st = FM_OK;
        if (rounds == 0 && s->rounds > 0) {
            f->first_cpu_s = cpu_s(pid);
            f->begun_ms = fm_clock_now_ms();
        }
        if (status_kb(pid, "VmHWM:") > f->peak_kb)
            f->peak_kb = status_kb(pid, "VmHWM:");
        f->last_cpu_s = cpu_s(pid) > f->last_cpu_s ? cpu_s(pid) : f->last_cpu_s;
        if (ended(pid) && s->finished < s->count)
            return fm_fail(FM_EIO, "the aggregator has ended: see %s/log", o->dir);
    }
    f->end_ms = fm_clock_now_ms();
    return st;
}

static void report(const options *o, const swarm *s, const figures *f)
{
    const double model_mb = 4e-6 * (double)o->parameters, peak_mb = 1.024e-3 * (double)f->peak_kb;
    const double update_mb = 1e-6 * (double)fm_plan_update_bytes(&s->plan);
    const double wall = 1e-3 * (double)(f->end_ms - f->begun_ms);
    const double rounds = (double)o->rounds;

    printf(
        "%llu nodes, %llu lost in each round, %.6g million parameters, %llu rounds (%llu begun)\n"
        "  model %.6g MB; an update %.6g MB (%u bits), %.3f of float32\n"
        "  aggregator: peak memory %.6g MB, %.2f times the model\n"
        "  aggregator, seconds of processor a round: %.3f from updates to the next model (%.3f a "
        "GB "
        "of them),\n"
        "    %.3f in all, the model sent to all included\n"
        "  a round %.3f s\n"
        "  a node shares a mask with %.1f of %llu others (density %u of 256)\n",
        (unsigned long long)o->nodes, (unsigned long long)o->lost, 1e-6 * (double)o->parameters,
        (unsigned long long)o->rounds, (unsigned long long)s->rounds, model_mb, update_mb,
        s->plan.word_bits, update_mb / model_mb, peak_mb, peak_mb / model_mb,
        f->updates_cpu_s / rounds,
        f->updates_cpu_s / rounds / (1e-3 * update_mb * (double)(o->nodes - o->lost)),
        (f->last_cpu_s - f->first_cpu_s) / rounds, wall / rounds, scale_mean_masks(s),
        (unsigned long long)o->nodes - 1, s->plan.mask_density);
}

static fm_status read_door_key(const options *o, swarm *s)
{
    uint8_t secret[FM_CURVE_KEY_BYTES];
    char path[PATH_CAP];
    fm_buf text = { 0 };
    fm_status st;

    path_of(o, "agg/door.key", path);
    if ((st = fm_file_read_private(path, 4096, &text)) == FM_OK &&
        (st = fm_buf_append(&text, "", 1)) == FM_OK) {
        text.data[strcspn((char *)text.data, "\n")] = '\0';
        if ((st = fm_curve_parse((char *)text.data, secret)) == FM_OK)
            st = fm_curve_public(secret, s->door_public);
    }
    fm_buf_fini(&text);
    return st;
}

static fm_status bench(options *o)
{
    static swarm s;
    figures f = { 0 };
    char door[64];
    pid_t pid = 0;
    fm_status st;

    s.count = (uint32_t)o->nodes;
    s.lost = (uint32_t)o->lost;
    fm_random_bytes(s.seed, sizeof s.seed);
    (void)snprintf(door, sizeof door, "tcp://127.0.0.1:%llu", (unsigned long long)o->port);
    s.door = door;
    if ((st = make_people(o, &s)) != FM_OK || (st = make_model(o)) != FM_OK ||
        (st = make_config(o)) != FM_OK || (st = start_aggregator(o, &pid)) != FM_OK ||
        (st = read_door_key(o, &s)) != FM_OK)
        return st;
    f.pid = pid;
    s.mark = mark;
    s.ctx = &f;
    st = run(o, &s, pid, &f);
    if (st != FM_OK)
        (void)kill(pid, SIGTERM);
    if (st == FM_OK)
        report(o, &s, &f);
    return st;
}

int main(int argc, char **argv)
{
    options o = { .nodes = 20, .parameters = 100000, .rounds = 2, .max_units = 300, .port = 7390 };
    const fm_cli_option list[] = {
        { "nodes", FM_CLI_U64, &o.nodes, "N", "default 20", false, 2, SCALE_NODES_MAX },
        { "parameters", FM_CLI_U64, &o.parameters, "N", "default 100000", false, 1,
          FM_MAX_PARAMETERS },
        { "rounds", FM_CLI_U64, &o.rounds, "N", "default 2", false, 1, SCALE_ROUNDS_MAX - 2 },
        { "lost", FM_CLI_U64, &o.lost, "N", "nodes lost in each round; default 0", false, 0,
          SCALE_NODES_MAX },
        { "max-units", FM_CLI_U64, &o.max_units, "N", "of the plan: decides on the words' width",
          false, 1, 1u << 30 },
        { "port", FM_CLI_U64, &o.port, "N", "of the door", false, 1, 65534 },
    };
    const fm_cli_spec spec = { .program = "bench-scale",
                               .summary = "Memory and time of an aggregator with many nodes, or a "
                                          "large model.",
                               .examples =
                                   "./dev bench scale --nodes 200 --parameters 1000000 --lost 20",
                               .options = list,
                               .option_count = sizeof list / sizeof list[0] };
    const char *tmp = getenv("TMPDIR");
    char command[128];
    ssize_t n;
    int first = 0, code = 1;
    fm_status st;

    if (fm_random_init() != FM_OK || !fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    n = readlink("/proc/self/exe", o.bin, sizeof o.bin - 1);
    o.bin[n > 0 ? n : 0] = '\0';
    *strrchr(o.bin, '/') = '\0';
    (void)snprintf(o.dir, sizeof o.dir, "%.40s/fedmoe-scale-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(o.dir)) {
        (void)fm_fail(FM_EIO, "%s: no temporary directory", o.dir);
        return fm_cli_failed(spec.program);
    }
    if ((st = bench(&o)) != FM_OK)
        return fm_cli_failed(spec.program);
    (void)snprintf(command, sizeof command, "rm -rf %s", o.dir);
    return system(command) == 0 ? 0 : 1;
}
