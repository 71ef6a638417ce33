/*
 * Models at the edge: decoding in 8 bits beside float32 and beside the core's memory, reading a prompt,
 * and a model of 1.3 billion parameters (1.3 GB in 8 bits) within limits of memory. A limit is that of a
 * control group, which counts pages of files, too; where none can be made it is --memory of generate alone,
 * and the resident set is measured.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edge_model.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/random.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/edge/session.h"

#define PROMPT 256
#define WRITE 24
#define MEGABYTE 1e6

typedef struct {
    const char *preset, *svg;
    uint64_t tries, tokens;
    bool no_limits, no_speed;
} setting;

static void need(fm_status st)
{
    if (st) {
        fprintf(stderr, "bench-edge: %s\n", fm_error_text());
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- memory ---- */

#define STREAM_BYTES ((size_t)256 << 20)

/* Bytes a second that one core reads: the least of what decoding takes. */
static double stream(uint64_t tries)
{
    const size_t n = STREAM_BYTES / sizeof(uint64_t);
    uint64_t *v = NULL, sum[8] = { 0 };
    double best = INFINITY;

    need(fm_alloc_whole(n, sizeof *v, (void **)&v));
    memset(v, 1, STREAM_BYTES);
    for (uint64_t t = 0; t < tries; t++) {
        const double from = now();

        for (size_t i = 0; i < n; i += 8)
            for (size_t l = 0; l < 8; l++)
                sum[l] += v[i + l];
        best = fmin(best, now() - from);
    }
    for (size_t l = 1; l < 8; l++)
        sum[0] += sum[l];
    if (sum[0] == 0)
        printf("zeros\n");
    free(v);
    return (double)STREAM_BYTES / best;
}

/* ---- speed ---- */

typedef struct {
    double read_s, write_s; /* of a token, the best of all tries */
} speed;

static speed measure(const char *path, bool float_inputs, const setting *s)
{
    fm_edge_options o = { .context = PROMPT + WRITE, .float_inputs = float_inputs };
    speed out = { INFINITY, INFINITY };
    fm_edge_model *m = NULL;
    fm_edge_session *e = NULL;
    uint32_t tokens[PROMPT + WRITE];
    float *logits;
    size_t vocabulary;

    need(fm_edge_model_open(path, &m));
    need(fm_edge_session_new(m, &o, &e));
    vocabulary = fm_edge_model_config(m)->vocabulary;
    logits = calloc(vocabulary, sizeof *logits);
    for (size_t i = 0; i < PROMPT + WRITE; i++)
        tokens[i] = (uint32_t)(i * 2654435761u % vocabulary);
    for (uint64_t t = 0; t < s->tries; t++) {
        double from = now();

        need(fm_edge_rewind(e, 0));
        need(fm_edge_read(e, tokens, PROMPT, logits));
        out.read_s = fmin(out.read_s, (now() - from) / PROMPT);
        for (size_t i = 0; i < WRITE; i++) {
            from = now();
            need(fm_edge_read(e, tokens + PROMPT + i, 1, logits));
            out.write_s = fmin(out.write_s, now() - from);
        }
    }
    free(logits);
    fm_edge_session_free(&e);
    fm_edge_model_free(&m);
    return out;
}

/* Bytes of the weights that one token goes through: of the embedding a row. */
static double active_bytes(const char *folder, double each)
{
    fm_decoder_folder *f = NULL;
    double out;

    need(fm_decoder_folder_open(folder, &f));
    out = each * (double)fm_decoder_active_parameters(fm_decoder_folder_config(f),
                                                      fm_decoder_folder_layout(f));
    fm_decoder_folder_free(&f);
    return out;
}

static void compare(const setting *s, const char *dir)
{
    const fm_decoder_plan plan = { .preset = s->preset, .vocabulary = 8192 };
    char folder[512], file[512];
    double rate, bytes;
    speed f, w, i;

    (void)snprintf(folder, sizeof folder, "%s/float", dir);
    (void)snprintf(file, sizeof file, "%s/int8.safetensors", dir);
    need(fm_decoder_plan_write(&plan, folder));
    need(fm_edge_write(folder, file, NULL));
    bytes = active_bytes(folder, 4.0);
    f = measure(folder, false, s);
    w = measure(file, true, s);
    i = measure(file, false, s);
    rate = stream(s->tries);
    printf(
        "preset %s, one core; its memory gives %.1f GB/s: at most %.0f tokens/s in float32, %.0f "
        "in 8 bits\n",
        s->preset, rate / 1e9, rate / bytes, rate / bytes * 4.0);
    printf("%-34s %12s %8s %12s %8s\n", "tokens/s", "writing", "ratio", "reading", "ratio");
    printf("%-34s %12.1f %8.2f %12.1f %8.2f\n", "float32", 1.0 / f.write_s, 1.0, 1.0 / f.read_s,
           1.0);
    printf("%-34s %12.1f %8.2f %12.1f %8.2f\n", "weights in 8 bits", 1.0 / w.write_s,
           f.write_s / w.write_s, 1.0 / w.read_s, f.read_s / w.read_s);
    printf("%-34s %12.1f %8.2f %12.1f %8.2f\n", "weights and inputs in 8 bits", 1.0 / i.write_s,
           f.write_s / i.write_s, 1.0 / i.read_s, f.read_s / i.read_s);
    (void)fflush(stdout);
}

/* ---- limits ---- */

#define GROUP "/sys/fs/cgroup/memory/fedmoe-bench" /* version 1 */
#define GROUP2 "/sys/fs/cgroup/fedmoe-bench"       /* version 2 */

static bool put_word(const char *path, unsigned long long value)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fprintf(f, "%llu\n", value) > 0;

    return f ? fclose(f) == 0 && ok : false;
}

static double read_word(const char *path)
{
    FILE *f = fopen(path, "r");
    double value = NAN;

    if (f && fscanf(f, "%lf", &value) != 1)
        value = NAN;
    if (f)
        (void)fclose(f);
    return value;
}

/* A group with that limit; NULL: the system lets none be made. */
static const char *make_group(uint64_t limit)
{
    (void)rmdir(GROUP);
    (void)rmdir(GROUP2);
    if (mkdir(GROUP, 0755) == 0) {
        if (put_word(GROUP "/memory.limit_in_bytes", limit))
            return GROUP;
        (void)rmdir(GROUP);
    }
    if (mkdir(GROUP2, 0755) == 0) {
        if (put_word(GROUP2 "/memory.max", limit))
            return GROUP2;
        (void)rmdir(GROUP2);
    }
    return NULL;
}

/* What others have of the file in memory would not be counted. */
static void drop_pages(const char *file)
{
    const int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
}

typedef struct {
    double rate, resident, group;
    bool done;
} limited;

static limited run_limited(const char *file, uint64_t megabytes, uint64_t tokens)
{
    const char *group = make_group(megabytes * 1000000);
    char command[1600], enter[200] = "";
    limited out = { .group = NAN };
    json_error_t error;
    json_t *j;
    FILE *f;

    drop_pages(file);
    if (group)
        (void)snprintf(enter, sizeof enter, "echo $$ > %s/cgroup.procs;", group);
    (void)snprintf(command, sizeof command,
                   "%s exec '%s' generate --model '%s' --tokens 1,2,3,4,5,6,7,8 --max-tokens %llu "
                   "--seed 1 --memory %lluM --json",
                   enter, FEDMOE_MODEL, file, (unsigned long long)tokens,
                   (unsigned long long)megabytes);
    if (!(f = popen(command, "r")))
        return out;
    j = json_loadf(f, 0, &error);
    out.done = pclose(f) == 0 && j;
    out.rate = json_number_value(json_object_get(j, "tokens_per_second"));
    out.resident = json_number_value(json_object_get(json_object_get(j, "memory"), "peak"));
    json_decref(j);
    if (group == NULL)
        return out;
    out.group = read_word(strcmp(group, GROUP) == 0 ? GROUP "/memory.max_usage_in_bytes"
                                                    : GROUP2 "/memory.peak");
    (void)rmdir(group);
    return out;
}

/* ---- the plot ---- */

#define SIZES 7
static const uint64_t sizes[SIZES] = { 300, 400, 500, 700, 1000, 1300, 1800 };

static const char head[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 620 330\" role=\"img\">\n"
    "<title>Tokens a second of a model of 1.31 billion parameters within limits of memory</title>\n"
    "<style>svg{font:13px sans-serif}.paper{fill:#fff}.ink{fill:#1b1b1b}"
    ".grid{stroke:#c9c9c9}.line{stroke:#0b5fa5;stroke-width:2;fill:none}.dot{fill:#0b5fa5}"
    "@media screen and (prefers-color-scheme:dark){.paper{fill:#141414}.ink{fill:#e8e8e8}"
    ".grid{stroke:#4a4a4a}.line{stroke:#7cc0ff}.dot{fill:#7cc0ff}}</style>\n"
    "<rect class=\"paper\" width=\"620\" height=\"330\"/>\n";

/* Limits from left to right, tokens a second from below. */
static void put_plot(FILE *f, const limited *r)
{
    double most = 4.0;

    for (size_t i = 0; i < SIZES; i++)
        most = r[i].done ? fmax(most, 4.0 * ceil(r[i].rate / 4.0)) : most;
    (void)fputs(head, f);
    for (int i = 0; i <= 4; i++)
        (void)fprintf(f,
                      "<line class=\"grid\" x1=\"60\" x2=\"600\" y1=\"%d\" y2=\"%d\"/>"
                      "<text class=\"ink\" x=\"52\" y=\"%d\" text-anchor=\"end\">%.0f</text>\n",
                      280 - 60 * i, 280 - 60 * i, 284 - 60 * i, most * i / 4.0);
    (void)fputs("<polyline class=\"line\" points=\"", f);
    for (size_t i = 0; i < SIZES; i++)
        if (r[i].done)
            (void)fprintf(f, "%.1f,%.1f ", 60.0 + 0.3 * (double)sizes[i],
                          280.0 - 240.0 * r[i].rate / most);
    (void)fputs("\"/>\n", f);
    for (size_t i = 0; i < SIZES; i++)
        if (r[i].done)
            (void)fprintf(f,
                          "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/><text "
                          "class=\"ink\" x=\"%.1f\" y=\"300\" text-anchor=\"middle\">%llu</text>\n",
                          60.0 + 0.3 * (double)sizes[i], 280.0 - 240.0 * r[i].rate / most,
                          60.0 + 0.3 * (double)sizes[i], (unsigned long long)sizes[i]);
    (void)fputs("<text class=\"ink\" x=\"60\" y=\"24\">tokens a second</text><text class=\"ink\" "
                "x=\"600\" y=\"320\" text-anchor=\"end\">limit of memory, MB</text>\n</svg>\n",
                f);
}

static void plot(const char *path, const limited *r)
{
    FILE *f = fopen(path, "w");

    need(f ? FM_OK : fm_fail(FM_EIO, "cannot write %s", path));
    put_plot(f, r);
    need(fclose(f) == 0 ? FM_OK : fm_fail(FM_EIO, "cannot write %s", path));
}

static void limits(const setting *s, const char *dir)
{
    limited results[SIZES];
    char file[512];
    struct stat info;
    fm_edge_model *m = NULL;
    fm_decoder_layout layout;

    (void)snprintf(file, sizeof file, "%s/billion.safetensors", dir);
    need(edge_model_write(edge_model_config, file));
    need(fm_edge_model_open(file, &m));
    need(fm_decoder_layout_make(fm_edge_model_config(m), &layout));
    need(stat(file, &info) == 0 ? FM_OK : fm_fail(FM_EIO, "%s: no file", file));
    printf("\n%.2f billion parameters, %.0f MB in 8 bits, %.1f %% of them for a token\n",
           (double)layout.parameters / 1e9, (double)info.st_size / MEGABYTE,
           100.0 * (double)fm_decoder_active_parameters(fm_edge_model_config(m), &layout) /
               (double)layout.parameters);
    fm_decoder_layout_free(&layout);
    fm_edge_model_free(&m);
    printf("%-12s %14s %14s %12s\n", "limit, MB", "resident, MB", "group, MB", "tokens/s");
    for (size_t i = 0; i < SIZES; i++) {
        const limited r = results[i] = run_limited(file, sizes[i], s->tokens);

        if (r.done)
            printf("%-12llu %14.0f %14.0f %12.2f\n", (unsigned long long)sizes[i],
                   r.resident / MEGABYTE, r.group / MEGABYTE, r.rate);
        else
            printf("%-12llu %14s\n", (unsigned long long)sizes[i], "refused");
        (void)fflush(stdout);
    }
    if (s->svg)
        plot(s->svg, results);
}

int main(int argc, char **argv)
{
    setting s = { .preset = "lite", .tries = 5, .tokens = 32 };
    const fm_cli_option options[] = {
        { "preset", FM_CLI_STRING, &s.preset, "NAME", "the model whose speed is measured", false, 0,
          0 },
        { "tries", FM_CLI_U64, &s.tries, "N", "of which the best counts", false, 1, 1000 },
        { "tokens", FM_CLI_U64, &s.tokens, "N", "to write within a limit", false, 1, 10000 },
        { "svg", FM_CLI_STRING, &s.svg, "FILE", "a plot of speed and limits", false, 0, 0 },
        { "no-limits", FM_CLI_FLAG, &s.no_limits, NULL, "no large model", false, 0, 0 },
        { "no-speed", FM_CLI_FLAG, &s.no_speed, NULL, "the large model alone", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-edge",
                               .summary = "Language models in 8 bits: speed and memory.",
                               .options = options,
                               .option_count = sizeof options / sizeof *options };
    const char *base = getenv("TMPDIR");
    char dir[256], command[300];
    int first;

    switch (fm_cli_parse(&spec, argc, argv, &first)) {
    case FM_CLI_HELP_SHOWN:
        return 0;
    case FM_CLI_USAGE:
        return 2;
    default:
        break;
    }
    need(fm_random_init());
    (void)snprintf(dir, sizeof dir, "%s/fedmoe-edge-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        return 1;
    if (!s.no_speed)
        compare(&s, dir);
    if (!s.no_limits)
        limits(&s, dir);
    (void)snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
