/* --help: on a screen what is used every day, with --help=all the rest. */
#include <stdlib.h>
#include <string.h>

#include "cli_internal.h"

#define HELP_COLUMN_MAX 30
#define HELP_WIDTH 80
#define HELP_LINES 24

bool fm_cli_is_program(const fm_cli_spec *spec)
{
    return strchr(spec->program, ' ') == NULL;
}

bool fm_cli_is_help(const char *arg, bool *all)
{
    *all = strcmp(arg, "--help=all") == 0;
    return *all || strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

bool fm_cli_lists(const char *list, const char *name)
{
    const size_t len = strlen(name);

    while (list && *list) {
        const size_t n = strcspn(list, ",");

        if (n == len && strncmp(list, name, n) == 0)
            return true;
        list += n + strspn(list + n, ", ");
    }
    return false;
}

void fm_cli_print_wrapped(FILE *to, const char *text, int indent)
{
    int column = indent;

    for (;;) {
        int len = (int)strcspn(text, " ");

        if (column > indent && column + 1 + len > HELP_WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", len, text);
        column += len;
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    fputc('\n', to);
}

/* The length of a shell word: up to a space outside of single quotes. */
static size_t word_length(const char *s, size_t len)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < len && (quoted || s[i] != ' '); i++)
        if (s[i] == '\'')
            quoted = !quoted;
    return i;
}

/* With its value, an option is one word: a line is not broken between the two. */
static size_t piece_length(const char *s, size_t len)
{
    size_t n = word_length(s, len), more;

    if (strncmp(s, "--", 2) != 0 || n + 1 >= len || s[n + 1] == '-' || s[n + 1] == '\\')
        return n;
    more = word_length(s + n + 1, len - n - 1);
    return n + 1 + more;
}

/* Spaces, and line ends that a backslash takes away. */
static size_t gap_length(const char *s, size_t len)
{
    size_t i = 0;

    while (i < len && (s[i] == ' ' || (i + 1 < len && s[i] == '\\' && s[i + 1] == '\n')))
        i += s[i] == ' ' ? 1 : 2;
    return i;
}

static void print_example(FILE *to, const char *s, size_t len)
{
    size_t column = 2, done = 0;

    fprintf(to, "  ");
    while (done < len) {
        const size_t n = piece_length(s + done, len - done);
        const size_t gap = gap_length(s + done + n, len - done - n);
        const bool last = done + n + gap == len;

        if (column > 2 && column + 1 + n + (last ? 0 : 2) > HELP_WIDTH) {
            fprintf(to, " \\\n    ");
            column = 4;
        } else if (done > 0) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)n, s + done);
        column += n;
        done += n + gap;
    }
    fputc('\n', to);
}

/* A whole command, over the lines that a backslash continues. */
static size_t example_length(const char *s)
{
    size_t len = strcspn(s, "\n");

    while (len > 0 && s[len] && s[len - 1] == '\\')
        len += 1 + strcspn(s + len + 1, "\n");
    return len;
}

void fm_cli_print_examples(FILE *to, const char *examples, size_t count)
{
    if (!examples)
        return;
    fprintf(to, "\nExamples:\n");
    for (size_t i = 0; *examples && i < count; i++) {
        size_t len = example_length(examples);

        if (len > 0)
            print_example(to, examples, len);
        else
            fputc('\n', to);
        examples += len + (examples[len] == '\n');
    }
}

static bool fits(fm_cli_page *page, const void *what, const fm_cli_view *view)
{
    char *text = NULL;
    size_t size = 0, lines = 0;
    FILE *to = open_memstream(&text, &size);

    if (!to)
        return true;
    page(to, what, view);
    if (fclose(to) == 0)
        for (const char *c = text; (c = strchr(c, '\n')); c++)
            lines++;
    free(text);
    return lines <= HELP_LINES;
}

void fm_cli_print_page(FILE *to, fm_cli_page *page, const void *what, bool all, size_t entries,
                       const char *examples)
{
    fm_cli_view view = { .rare = true, .entries = entries, .examples = 1 };

    for (size_t at = 0; examples && examples[at += example_length(examples + at)];)
        view.examples += examples[++at] != '\0';
    if (!all && !fits(page, what, &view)) {
        view.rare = false;
        while (view.examples > 1 && !fits(page, what, &view))
            view.examples--;
        while (view.entries > 0 && !fits(page, what, &view))
            view.entries--;
    }
    page(to, what, &view);
}

static int option_width(const fm_cli_option *o)
{
    size_t n = strlen(o->name) + 2 + (o->value ? strlen(o->value) + 1 : 0);

    return n > HELP_COLUMN_MAX ? HELP_COLUMN_MAX : (int)n;
}

static void print_option(FILE *to, const fm_cli_option *o, int width)
{
    const char *note = o->required              ? " (required)"
                       : o->kind == FM_CLI_LIST ? " (may be given again)"
                                                : "";
    char text[512];
    int used = fprintf(to, "  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");

    if (used > width + 2)
        fprintf(to, "\n%*s", width + 4, "");
    else
        fprintf(to, "%*s", width + 4 - used, "");
    (void)snprintf(text, sizeof text, "%s%s", o->help, note);
    fm_cli_print_wrapped(to, text, width + 4);
}

static bool is_shown(const fm_cli_spec *spec, size_t i, const fm_cli_view *view)
{
    const fm_cli_option *o = &spec->options[i];

    return o->required || (i < view->entries && (view->rare || !fm_cli_lists(spec->rare, o->name)));
}

/* What every command has; a program without commands has three. */
static void print_own_options(FILE *to, const fm_cli_spec *spec, size_t left_out, int width)
{
    char help[80] = "show this text";

    if (left_out > 0)
        (void)snprintf(help, sizeof help, "show this text; --help=all: %zu more options", left_out);
    print_option(to, &(fm_cli_option){ .name = "help", .help = help }, width);
    if (!fm_cli_is_program(spec))
        return;
    print_option(to, &(fm_cli_option){ .name = "version", .help = "show the version" }, width);
    print_option(
        to, &(fm_cli_option){ .name = "completion", .help = "print a completion script for bash" },
        width);
}

static void spec_page(FILE *to, const void *what, const fm_cli_view *view)
{
    const fm_cli_spec *spec = what;
    int width = (int)strlen(fm_cli_is_program(spec) ? "--completion" : "--help");
    size_t left_out = 0;

    for (size_t i = 0; i < spec->option_count; i++)
        if (!is_shown(spec, i, view))
            left_out++;
        else if (option_width(&spec->options[i]) > width)
            width = option_width(&spec->options[i]);
    fprintf(to, "Usage: %s%s%s%s\n\n", spec->program, spec->option_count ? " [OPTION]..." : "",
            spec->operands ? " " : "", spec->operands ? spec->operands : "");
    fm_cli_print_wrapped(to, spec->summary, 0);
    fprintf(to, "\nOptions:\n");
    for (size_t i = 0; i < spec->option_count; i++)
        if (is_shown(spec, i, view))
            print_option(to, &spec->options[i], width);
    print_own_options(to, spec, left_out, width);
    fm_cli_print_examples(to, spec->examples, view->examples);
}

void fm_cli_print_help(const fm_cli_spec *spec, bool all)
{
    fm_cli_print_page(stdout, spec_page, spec, all, spec->option_count, spec->examples);
}
