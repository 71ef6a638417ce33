/* --help of one command. */
#include <string.h>

#include "cli_internal.h"

#define HELP_COLUMN_MAX 30
#define HELP_WIDTH 80

bool fm_cli_is_program(const fm_cli_spec *spec)
{
    return strchr(spec->program, ' ') == NULL;
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

void fm_cli_print_examples(FILE *to, const char *examples)
{
    if (!examples)
        return;
    fprintf(to, "\nExamples:\n");
    while (*examples) {
        size_t len = strcspn(examples, "\n");

        fprintf(to, "%s%.*s\n", len > 0 ? "  " : "", (int)len, examples);
        examples += len + (examples[len] == '\n');
    }
}

static int option_width(const fm_cli_option *o)
{
    size_t n = strlen(o->name) + 2 + (o->value ? strlen(o->value) + 1 : 0);

    return n > HELP_COLUMN_MAX ? HELP_COLUMN_MAX : (int)n;
}

static void print_option(const fm_cli_option *o, int width)
{
    const char *note = o->required              ? " (required)"
                       : o->kind == FM_CLI_LIST ? " (may be given again)"
                                                : "";
    char text[512];
    int used = printf("  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");

    if (used > width + 2)
        printf("\n%*s", width + 4, "");
    else
        printf("%*s", width + 4 - used, "");
    (void)snprintf(text, sizeof text, "%s%s", o->help, note);
    fm_cli_print_wrapped(stdout, text, width + 4);
}

void fm_cli_print_help(const fm_cli_spec *spec)
{
    static const fm_cli_option own[] = {
        { .name = "help", .help = "show this text" },
        { .name = "version", .help = "show the version" },
        { .name = "completion", .help = "print a completion script for bash" },
    };
    size_t own_count = fm_cli_is_program(spec) ? sizeof own / sizeof own[0] : 1;
    int width = 0;

    for (size_t i = 0; i < spec->option_count; i++)
        if (option_width(&spec->options[i]) > width)
            width = option_width(&spec->options[i]);
    for (size_t i = 0; i < own_count; i++)
        if (option_width(&own[i]) > width)
            width = option_width(&own[i]);
    printf("Usage: %s%s%s%s\n\n", spec->program, spec->option_count ? " [OPTION]..." : "",
           spec->operands ? " " : "", spec->operands ? spec->operands : "");
    fm_cli_print_wrapped(stdout, spec->summary, 0);
    printf("\nOptions:\n");
    for (size_t i = 0; i < spec->option_count; i++)
        print_option(&spec->options[i], width);
    for (size_t i = 0; i < own_count; i++)
        print_option(&own[i], width);
    fm_cli_print_examples(stdout, spec->examples);
}
