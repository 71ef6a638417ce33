/* A program of several commands: dispatch, and the --help that lists them. */
#include <stdio.h>
#include <string.h>

#include "cli_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/text.h"

#define SHOWN "%.80s"

static int usage_exit(const fm_cli_program *p, const char *problem, const char *word,
                      const char *nearest)
{
    char clean[81];

    (void)snprintf(clean, sizeof clean, SHOWN, word);
    fm_text_clean(clean);
    fprintf(stderr, "%s: %s '%s'", p->program, problem, clean);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\nTry '%s --help'.\n", p->program);
    return 2;
}

bool fm_cli_in_group(const fm_cli_command *c, const char *group)
{
    size_t len = strlen(group);

    return len == 0 || (strncmp(c->name, group, len) == 0 && c->name[len] == ' ');
}

static bool is_group(const fm_cli_program *p, const char *word)
{
    for (size_t i = 0; *word && i < p->command_count; i++)
        if (fm_cli_in_group(&p->commands[i], word))
            return true;
    return false;
}

static void print_program_help(const fm_cli_program *p, FILE *to, const char *group)
{
    size_t width = 0;

    for (size_t i = 0; i < p->command_count; i++)
        if (fm_cli_in_group(&p->commands[i], group) && strlen(p->commands[i].name) > width)
            width = strlen(p->commands[i].name);
    fprintf(to, "Usage: %s %s%sCOMMAND [OPTION]...\n\n", p->program, group, *group ? " " : "");
    if (!*group) {
        fm_cli_print_wrapped(to, p->summary, 0);
        fputc('\n', to);
    }
    fprintf(to, "Commands:\n");
    for (size_t i = 0; i < p->command_count; i++)
        if (fm_cli_in_group(&p->commands[i], group))
            fprintf(to, "  %-*s  %s\n", (int)width, p->commands[i].name, p->commands[i].summary);
    if (*group) {
        fprintf(to, "\nTry '%s COMMAND --help' for one command.\n", p->program);
        return;
    }
    fprintf(to, "\nOptions:\n"
                "  --help        show this text; after a command, that command's\n"
                "  --version     show the version\n"
                "  --completion  print a completion script for bash\n");
    fm_cli_print_examples(to, p->examples);
}

/* Words of argv that name a command: 1 or 2; 0 when there is no such command. */
static int match(const char *name, int argc, char **argv)
{
    const char *space = strchr(name, ' ');
    size_t len;

    if (!space)
        return strcmp(argv[1], name) == 0 ? 1 : 0;
    len = (size_t)(space - name);
    return argc > 2 && strlen(argv[1]) == len && strncmp(argv[1], name, len) == 0 &&
                   strcmp(argv[2], space + 1) == 0
               ? 2
               : 0;
}

static int unknown_command(const fm_cli_program *p, int argc, char **argv)
{
    char tried[160];
    bool group = is_group(p, argv[1]);
    const char *nearest = NULL;
    size_t best = SIZE_MAX;

    if (group && argc < 3) {
        fprintf(stderr, "%s: '%s' needs a second word\n\n", p->program, argv[1]);
        print_program_help(p, stderr, argv[1]);
        return 2;
    }
    (void)snprintf(tried, sizeof tried, group ? SHOWN " " SHOWN : SHOWN, argv[1],
                   group ? argv[2] : "");
    for (size_t i = 0; i < p->command_count; i++) {
        size_t d = fm_text_distance(tried, p->commands[i].name);

        if (d < best) {
            best = d;
            nearest = p->commands[i].name;
        }
    }
    if (nearest && !fm_text_is_near(best, nearest))
        nearest = NULL;
    return usage_exit(p, tried[0] == '-' ? "unknown option" : "unknown command", tried, nearest);
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* What the program answers by itself. @return whether it did. */
static bool answer(const fm_cli_program *p, int argc, char **argv)
{
    if (is_help(argv[1]))
        print_program_help(p, stdout, "");
    else if (argc > 2 && is_help(argv[2]) && is_group(p, argv[1]))
        print_program_help(p, stdout, argv[1]);
    else if (strcmp(argv[1], "--version") == 0)
        fm_cli_print_version(p->program);
    else if (strcmp(argv[1], "--completion") == 0)
        fm_cli_print_completion(p);
    else
        return false;
    return true;
}

int fm_cli_main(const fm_cli_program *p, int argc, char **argv)
{
    if (argc < 2) {
        print_program_help(p, stderr, "");
        return 2;
    }
    if (fm_random_init() != FM_OK)
        return fm_cli_failed(p->program);
    fm_file_remove_on_signals();
    fm_json_guard();
    for (size_t i = 0; i < p->command_count; i++) {
        int words = match(p->commands[i].name, argc, argv);

        if (words > 0)
            return fm_cli_end(p->program, p->commands[i].run(argc - words, argv + words));
    }
    return answer(p, argc, argv) ? fm_cli_end(p->program, 0) : unknown_command(p, argc, argv);
}
