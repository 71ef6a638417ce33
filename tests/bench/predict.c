/*
 * How fast fedmoe-model predict is, and in how much memory: synthetic records in the shape of the
 * adult census table (15 columns, about 110 bytes a row) and of the heart-disease table (14 short
 * columns), the default model for each, CSV in and CSV out. `--rows N` instead of a million,
 * `--threads N` instead of one for each processor. Fails when a row is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "fm_test.h"

#define REPEATS 3

/* A column of the table; the cells are drawn evenly. */
typedef struct {
    const char *name;
    const char *const *values; /* NULL: whole numbers lo..hi */
    size_t count;
    int lo, hi;
    const char *more; /* YAML */
} column;

#define WORDS(...)                                  \
    .values = (const char *const[]){ __VA_ARGS__ }, \
    .count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static const column adult[] = {
    { "age", .lo = 17, .hi = 90 },
    { "workclass", WORDS("Private", "Self-emp-not-inc", "Self-emp-inc", "Federal-gov", "Local-gov",
                         "State-gov", "Without-pay", "Never-worked") },
    { "fnlwgt", .lo = 12285, .hi = 1490400, .more = "spacing: log" },
    { "education", WORDS("Bachelors", "Some-college", "11th", "HS-grad", "Prof-school",
                         "Assoc-acdm", "Assoc-voc", "9th", "7th-8th", "12th", "Masters", "1st-4th",
                         "10th", "Doctorate", "5th-6th", "Preschool") },
    { "education-num", .lo = 1, .hi = 16 },
    { "marital-status", WORDS("Married-civ-spouse", "Divorced", "Never-married", "Separated",
                              "Widowed", "Married-spouse-absent", "Married-AF-spouse") },
    { "occupation",
      WORDS("Tech-support", "Craft-repair", "Other-service", "Sales", "Exec-managerial",
            "Prof-specialty", "Handlers-cleaners", "Machine-op-inspct", "Adm-clerical",
            "Farming-fishing", "Transport-moving", "Priv-house-serv", "Protective-serv",
            "Armed-Forces") },
    { "relationship",
      WORDS("Wife", "Own-child", "Husband", "Not-in-family", "Other-relative", "Unmarried") },
    { "race", WORDS("White", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other", "Black") },
    { "sex", WORDS("Female", "Male") },
    { "capital-gain", .lo = 0, .hi = 99999, .more = "spacing: log" },
    { "capital-loss", .lo = 0, .hi = 4356, .more = "spacing: log" },
    { "hours-per-week", .lo = 1, .hi = 99 },
    { "native-country",
      WORDS("United-States", "Cambodia", "England", "Puerto-Rico", "Canada", "Germany", "India",
            "Japan", "Greece", "China", "Cuba", "Iran", "Philippines", "Italy", "Poland", "Jamaica",
            "Vietnam", "Mexico", "Portugal", "Ireland", "France", "Dominican-Republic", "Laos",
            "Ecuador", "Taiwan", "Haiti", "Columbia", "Hungary", "Guatemala", "Nicaragua",
            "Scotland", "Thailand", "Yugoslavia", "El-Salvador", "Peru", "Hong", "South") },
};
static const column heart[] = {
    { "age", .lo = 18, .hi = 100 },      { "sex", WORDS("0", "1") },
    { "cp", WORDS("1", "2", "3", "4") }, { "trestbps", .lo = 80, .hi = 200 },
    { "chol", .lo = 100, .hi = 400 },    { "fbs", WORDS("0", "1") },
    { "restecg", WORDS("0", "1", "2") }, { "thalach", .lo = 60, .hi = 220 },
    { "exang", WORDS("0", "1") },        { "oldpeak", .lo = -2, .hi = 5 },
    { "slope", WORDS("1", "2", "3") },   { "ca", WORDS("0", "1", "2", "3") },
    { "thal", WORDS("3", "6", "7") },
};

static void put(fm_buf *out, const char *text)
{
    if (fm_buf_append(out, text, strlen(text))) {
        fprintf(stderr, "bench-predict: %s\n", fm_error_text());
        exit(1);
    }
}

static void write_schema(const column *c, size_t count, const char *path)
{
    fm_buf b = { 0 };
    char line[256];

    put(&b, "name: bench\ncsv: {header: true, missing: [\"?\", \"\"]}\ncolumns:\n");
    for (size_t i = 0; i < count; i++) {
        if (c[i].values) {
            (void)snprintf(line, sizeof line, "  - {name: %s, kind: categorical, values: [",
                           c[i].name);
            put(&b, line);
            for (size_t v = 0; v < c[i].count; v++) {
                (void)snprintf(line, sizeof line, "%s\"%s\"", v ? ", " : "", c[i].values[v]);
                put(&b, line);
            }
            put(&b, "]}\n");
            continue;
        }
        (void)snprintf(line, sizeof line, "  - {name: %s, kind: numeric, range: [%d, %d]%s%s}\n",
                       c[i].name, c[i].lo, c[i].hi, c[i].more ? ", " : "",
                       c[i].more ? c[i].more : "");
        put(&b, line);
    }
    put(&b, "  - {name: label, kind: label, negative: [\"<=50K\", \"0\"], positive: [\">50K\"]}\n");
    if (fm_file_replace(path, b.data, b.len, 0600))
        put(NULL, "");
    fm_buf_fini(&b);
}

/* A record, its label included; one cell in fifty is missing. */
static void write_row(FILE *f, const column *c, size_t count, fm_rng *rng)
{
    for (size_t i = 0; i < count; i++) {
        if (fm_rng_below(rng, 50) == 0)
            fputs("?", f);
        else if (c[i].values)
            fputs(c[i].values[fm_rng_below(rng, c[i].count)], f);
        else
            fprintf(f, "%d", c[i].lo + (int)fm_rng_below(rng, (uint64_t)(c[i].hi - c[i].lo + 1)));
        fputc(',', f);
    }
    fputs(fm_rng_below(rng, 4) ? "<=50K\n" : ">50K\n", f);
}

static bool write_records(const column *c, size_t count, uint64_t rows, const char *path)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 4);
    FILE *f = fopen(path, "w");

    if (!f)
        return false;
    for (size_t i = 0; i < count; i++)
        fprintf(f, "%s,", c[i].name);
    fputs("label\n", f);
    for (uint64_t i = 0; i < rows; i++)
        write_row(f, c, count, &rng);
    return fclose(f) == 0;
}

typedef struct {
    double seconds, busy; /* by the clock; of all processors together */
    long kib;             /* most memory */
} cost;

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Run a command line. */
static bool run(const char *line, cost *out)
{
    const uint64_t begin = fm_clock_now_ns();
    struct rusage usage;
    int status;
    const pid_t child = fork();

    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    out->seconds = (double)(fm_clock_now_ns() - begin) / 1e9;
    out->busy = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    out->kib = usage.ru_maxrss;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static uint64_t lines_of(const char *path)
{
    FILE *f = fopen(path, "r");
    uint64_t n = 0;

    for (int c; f && (c = fgetc(f)) != EOF;)
        n += c == '\n';
    if (f)
        (void)fclose(f);
    return n;
}

static bool measure(const char *name, const column *c, size_t count, uint64_t rows,
                    uint64_t threads, const char *dir)
{
    char path[512], line[2048];
    cost best = { .seconds = 1e9, .busy = 1e9 }, one = { 0 };
    struct stat info;

    (void)snprintf(path, sizeof path, "%s/s.yaml", dir);
    write_schema(c, count, path);
    (void)snprintf(path, sizeof path, "%s/in.csv", dir);
    if (!write_records(c, count, rows, path) || stat(path, &info) != 0)
        return false;
    (void)snprintf(line, sizeof line,
                   "exec '%s' new --force --schema %s/s.yaml --output %s/m >/dev/null",
                   FEDMOE_MODEL, dir, dir);
    if (!run(line, &one))
        return false;
    (void)snprintf(
        line, sizeof line,
        "exec '%s' predict --force --threads %llu --model %s/m --input %s/in.csv --output "
        "%s/out.csv",
        FEDMOE_MODEL, (unsigned long long)threads, dir, dir, dir);
    for (int i = 0; i < REPEATS; i++) {
        if (!run(line, &one))
            return false;
        best.seconds = one.seconds < best.seconds ? one.seconds : best.seconds;
        best.busy = one.busy < best.busy ? one.busy : best.busy;
        best.kib = one.kib > best.kib ? one.kib : best.kib;
    }
    (void)snprintf(path, sizeof path, "%s/out.csv", dir);
    if (lines_of(path) != rows + 1)
        return false;
    printf("%-6s %10llu rows %7.1f MB %7.3f s (%.3f s of processors) %9.0f rows/s, %.1f MiB at "
           "most\n",
           name, (unsigned long long)rows, (double)info.st_size / 1e6, best.seconds, best.busy,
           (double)rows / best.seconds, (double)best.kib / 1024.0);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t rows = 1000000, threads = 0;
    const fm_cli_option options[] = {
        { "rows", FM_CLI_U64, &rows, "N", "records of each table", false, 1, 1e9 },
        { "threads", FM_CLI_U64, &threads, "N", "0: one for each processor", false, 0, 64 },
    };
    const fm_cli_spec spec = { .program = "bench-predict run",
                               .summary = "Measure fedmoe-model predict.",
                               .examples = "./dev bench predict --rows 10000000",
                               .options = options,
                               .option_count = FM_TEST_COUNT(options) };
    char dir[256];
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    fm_log_set_level(FM_LOG_ERROR);
    fm_test_tmpdir(dir, sizeof dir);
    if (measure("adult", adult, FM_TEST_COUNT(adult), rows, threads, dir) &&
        measure("heart", heart, FM_TEST_COUNT(heart), rows, threads, dir))
        return 0;
    fprintf(stderr, "bench-predict: a run failed or lost rows\n");
    return 1;
}
