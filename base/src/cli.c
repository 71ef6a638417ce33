#include "fedmoe/base/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_internal.h"
#include "fedmoe/base/text.h"

#define MAX_OPTIONS 64

bool fm_cli_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

bool fm_cli_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return fm_cli_is_terminal(fd) && !(no_color && *no_color) &&
           !(term && strcmp(term, "dumb") == 0);
}

/* A text of several lines, as lists of problems are: those behind the first are set in, so that
 * nothing in a text can pass for another message of the program. */
int fm_cli_failed(const char *program)
{
    const char *recorded = fm_error_text();
    char *text = strdup(*recorded ? recorded : "failed");
    char *rest = text, *line;

    if (!text)
        fprintf(stderr, "%s: out of memory\n", program);
    while ((line = strsep(&rest, "\n"))) {
        fm_text_clean(line);
        if (line == text)
            fprintf(stderr, "%s: %s\n", program, line);
        else if (*line)
            fprintf(stderr, "  %s\n", line);
    }
    free(text);
    return 1;
}

int fm_cli_end(const char *program, int code)
{
    const bool failed_before = ferror(stdout) != 0; /* the reason is gone with the write */
    const bool lost = fflush(stdout) != 0;

    if (code != 0 || (!lost && !failed_before))
        return code;
    if (lost && !failed_before)
        (void)fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
    else
        (void)fm_fail(FM_EIO, "cannot write to standard output");
    return fm_cli_failed(program);
}

/* One parse under way. */
typedef struct {
    const fm_cli_spec *spec;
    int argc;
    char **argv;
    int next;          /* the argument that is looked at */
    int first_operand; /* argv[first_operand .. next) are operands seen so far */
    bool seen[MAX_OPTIONS];
} parse;

FM_PRINTF(2, 3) static fm_cli_result usage(const fm_cli_spec *spec, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    fm_text_clean(text);
    fprintf(stderr, "%s: %s\nTry '%s --help'.\n", spec->program, text, spec->program);
    return FM_CLI_USAGE;
}

/* Index of the option called name[0 .. len), or option_count. */
static size_t find_option(const fm_cli_spec *spec, const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < spec->option_count; i++)
        if (strlen(spec->options[i].name) == len && strncmp(spec->options[i].name, name, len) == 0)
            break;
    return i;
}

static fm_cli_result unknown_option(const fm_cli_spec *spec, const char *arg)
{
    char name[80];
    const char *nearest = NULL;
    size_t best = SIZE_MAX;

    (void)snprintf(name, sizeof name, "%s", arg + strspn(arg, "-"));
    name[strcspn(name, "=")] = '\0';
    for (size_t i = 0; i < spec->option_count; i++) {
        size_t d = fm_text_distance(name, spec->options[i].name);

        if (d < best) {
            best = d;
            nearest = spec->options[i].name;
        }
    }
    if (nearest && fm_text_is_near(best, nearest))
        return usage(spec, "unknown option '%.80s'; did you mean --%s?", arg, nearest);
    return usage(spec, "unknown option '%.80s'", arg);
}

/* Both 0: any value will do. */
static bool is_bounded(const fm_cli_option *o)
{
    return o->lo < 0.0 || o->lo > 0.0 || o->hi < 0.0 || o->hi > 0.0;
}

/* Bounds as the double holds them: exact up to 2^53, above 10^18 none. */
static fm_cli_result not_whole(const fm_cli_spec *spec, const fm_cli_option *o, const char *value)
{
    if (!is_bounded(o) || o->hi >= 1e18)
        return usage(spec, "--%s must be a whole number from %.0f to %llu, found '%.80s'", o->name,
                     is_bounded(o) ? o->lo : 0.0, (unsigned long long)UINT64_MAX, value);
    return usage(spec, "--%s must be a whole number from %.0f to %.0f, found '%.80s'", o->name,
                 o->lo, o->hi, value);
}

static fm_cli_result out_of_range(const fm_cli_spec *spec, const fm_cli_option *o,
                                  const char *value)
{
    if (o->hi >= 1e18)
        return usage(spec, "--%s must be at least %.10g, not '%.80s'", o->name, o->lo, value);
    return usage(spec, "--%s must be between %.10g and %.10g, not '%.80s'", o->name, o->lo, o->hi,
                 value);
}

static bool in_range(const fm_cli_option *o, double v)
{
    return !is_bounded(o) || (v >= o->lo && v <= o->hi);
}

static fm_cli_result store_list(const fm_cli_spec *spec, fm_cli_list *list, const char *value)
{
    const char **items = reallocarray(list->items, list->count + 1, sizeof *items);

    if (!items)
        return usage(spec, "out of memory");
    items[list->count++] = value;
    list->items = items;
    return FM_CLI_RUN;
}

static fm_cli_result store(const fm_cli_spec *spec, const fm_cli_option *o, const char *value)
{
    double d;
    uint64_t u;

    switch (o->kind) {
    case FM_CLI_FLAG:
        *(bool *)o->out = true;
        return FM_CLI_RUN;
    case FM_CLI_STRING:
        *(const char **)o->out = value;
        return FM_CLI_RUN;
    case FM_CLI_DOUBLE:
        if (!fm_text_double(value, &d))
            return usage(spec, "--%s needs a number, not '%.80s'", o->name, value);
        if (!in_range(o, d))
            return out_of_range(spec, o, value);
        *(double *)o->out = d;
        return FM_CLI_RUN;
    case FM_CLI_U64:
        if (!fm_text_u64(value, &u) || !in_range(o, (double)u))
            return not_whole(spec, o, value);
        *(uint64_t *)o->out = u;
        return FM_CLI_RUN;
    case FM_CLI_LIST:
        return store_list(spec, o->out, value);
    }
    return usage(spec, "--%s is of no known kind", o->name);
}

/* Move the `count` arguments at `next` before the operands seen so far. */
static void take(parse *p, int count)
{
    for (int i = 0; i < count; i++) {
        char *arg = p->argv[p->next];

        memmove(&p->argv[p->first_operand + 1], &p->argv[p->first_operand],
                (size_t)(p->next - p->first_operand) * sizeof *p->argv);
        p->argv[p->first_operand++] = arg;
        p->next++;
    }
}

static bool is_option_like(const char *arg)
{
    return strncmp(arg, "--", 2) == 0 && isalpha((unsigned char)arg[2]);
}

static fm_cli_result parse_option(parse *p)
{
    const fm_cli_spec *spec = p->spec;
    const char *arg = p->argv[p->next];
    size_t len = strcspn(arg + 2, "=");
    const char *value = arg[2 + len] == '=' ? arg + 2 + len + 1 : NULL;
    size_t i = arg[1] == '-' ? find_option(spec, arg + 2, len) : spec->option_count;
    const fm_cli_option *o;
    int used = 1;

    if (i == spec->option_count)
        return unknown_option(spec, arg);
    o = &spec->options[i];
    if (p->seen[i] && o->kind != FM_CLI_LIST)
        return usage(spec, "--%s is given twice", o->name);
    p->seen[i] = true;
    if (o->kind == FM_CLI_FLAG && value)
        return usage(spec, "--%s takes no value", o->name);
    if (o->kind != FM_CLI_FLAG && !value) {
        /* "--out --json" is a forgotten value, not a file called --json. */
        if (p->next + 1 >= p->argc || is_option_like(p->argv[p->next + 1]))
            return usage(
                spec, "--%s needs a value (%s); one that begins with -- is given as --%s=%s",
                o->name, o->value ? o->value : "VALUE", o->name, o->value ? o->value : "VALUE");
        value = p->argv[p->next + 1];
        used = 2;
    }
    take(p, used);
    return store(spec, o, value);
}

static fm_cli_result parse_all(parse *p)
{
    while (p->next < p->argc) {
        const char *arg = p->argv[p->next];
        fm_cli_result result;
        bool all;

        if (arg[0] != '-' || arg[1] == '\0') {
            p->next++;
        } else if (strcmp(arg, "--") == 0) {
            take(p, 1);
            p->next = p->argc;
        } else if (fm_cli_is_help(arg, &all)) {
            fm_cli_print_help(p->spec, all);
            return FM_CLI_HELP_SHOWN;
        } else if (p->argc == 2 && fm_cli_answer(p->spec, arg)) {
            return FM_CLI_HELP_SHOWN;
        } else if ((result = parse_option(p)) != FM_CLI_RUN) {
            return result;
        }
    }
    return FM_CLI_RUN;
}

static fm_cli_result check_complete(const parse *p)
{
    const fm_cli_spec *spec = p->spec;
    size_t count = (size_t)(p->argc - p->first_operand);

    for (size_t i = 0; i < spec->option_count; i++)
        if (spec->options[i].required && !p->seen[i])
            return usage(spec, "--%s %s is required", spec->options[i].name,
                         spec->options[i].value ? spec->options[i].value : "");
    if (!spec->operands && count > 0)
        return usage(spec, "unexpected '%.80s'", p->argv[p->first_operand]);
    if (spec->operands && count < spec->operands_min)
        return usage(spec, "%s is missing", spec->operands);
    if (spec->operands && count > spec->operands_max)
        return usage(spec, "unexpected '%.80s' after %s",
                     p->argv[p->first_operand + (int)spec->operands_max], spec->operands);
    return FM_CLI_RUN;
}

static void drop_lists(const fm_cli_spec *spec)
{
    for (size_t i = 0; i < spec->option_count; i++) {
        fm_cli_list *list;

        if (spec->options[i].kind != FM_CLI_LIST)
            continue;
        list = spec->options[i].out;
        free(list->items);
        *list = (fm_cli_list){ 0 };
    }
}

fm_cli_result fm_cli_parse(const fm_cli_spec *spec, int argc, char **argv, int *operands)
{
    parse p = { .spec = spec, .argc = argc, .argv = argv, .next = 1, .first_operand = 1 };
    fm_cli_result result;

    if (spec->option_count > MAX_OPTIONS)
        return usage(spec, "defect: more than %d options", MAX_OPTIONS);
    result = parse_all(&p);
    if (result == FM_CLI_RUN)
        result = check_complete(&p);
    if (result == FM_CLI_RUN) {
        if (operands)
            *operands = argc > 0 ? p.first_operand : 0;
    } else {
        drop_lists(spec);
    }
    return result;
}

bool fm_cli_begin(const fm_cli_spec *spec, int argc, char **argv, int *operands, int *code)
{
    fm_cli_result r = fm_cli_parse(spec, argc, argv, operands);

    if (r != FM_CLI_RUN)
        *code = r == FM_CLI_HELP_SHOWN ? 0 : 2;
    return r == FM_CLI_RUN;
}
