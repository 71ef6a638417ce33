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

/* The commands of a program, or of one group of it. */
typedef struct {
    const fm_cli_program *program;
    const char *group;
} listing;

/* Length of the name's first word when the command stands for its whole group in a short list. */
static size_t as_group(const listing *l, size_t i, const fm_cli_view *view)
{
    const char *space = strchr(l->program->commands[i].name, ' ');

    return view->rare || *l->group || !space ? 0 : (size_t)(space - l->program->commands[i].name);
}

static bool is_listed(const listing *l, size_t i, const fm_cli_view *view)
{
    const fm_cli_command *c = l->program->commands;
    const size_t len = as_group(l, i, view);

    if (!fm_cli_in_group(&c[i], l->group) || i >= view->entries ||
        (!view->rare && fm_cli_lists(l->program->rare, c[i].name)))
        return false;
    for (size_t k = 0; len > 0 && k < i; k++)
        if (as_group(l, k, view) == len && strncmp(c[k].name, c[i].name, len) == 0)
            return false;
    return view->rare || *l->group || len > 0 || !is_group(l->program, c[i].name);
}

/* "ledger  show, verify, export, import" */
static void list_group(FILE *to, const listing *l, size_t first, size_t len, int width)
{
    const fm_cli_command *c = l->program->commands;
    char words[256];
    size_t used = 0;

    for (size_t i = first; i < l->program->command_count && used < sizeof words; i++)
        if (strncmp(c[i].name, c[first].name, len + 1) == 0)
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s",
                                     used > 0 ? ", " : "", c[i].name + len + 1);
    fprintf(to, "  %-*.*s  ", width, (int)len, c[first].name);
    fm_cli_print_wrapped(to, words, width + 4);
}

/* @return how many commands of the listing are not shown, each in a group for itself. */
static size_t list_commands(FILE *to, const listing *l, const fm_cli_view *view)
{
    const fm_cli_program *p = l->program;
    size_t width = 0, left_out = 0;

    for (size_t i = 0; i < p->command_count; i++) {
        const size_t len =
            as_group(l, i, view) ? as_group(l, i, view) : strlen(p->commands[i].name);

        if (is_listed(l, i, view) && len > width)
            width = len;
    }
    for (size_t i = 0; i < p->command_count; i++) {
        const size_t len = as_group(l, i, view);

        if (!is_listed(l, i, view)) {
            left_out += fm_cli_in_group(&p->commands[i], l->group) && len == 0;
        } else if (len > 0) {
            list_group(to, l, i, len, (int)width);
        } else {
            fprintf(to, "  %-*s  ", (int)width, p->commands[i].name);
            fm_cli_print_wrapped(to, p->commands[i].summary, (int)width + 4);
        }
    }
    return left_out;
}

static void group_examples(FILE *to, const listing *l)
{
    const char *all = l->program->group_examples;
    char begin[160], text[1024];
    size_t used = 0;

    (void)snprintf(begin, sizeof begin, "%s %s ", l->program->program, l->group);
    for (size_t n; all && *all; all += n + (all[n] == '\n')) {
        n = strcspn(all, "\n");
        if (strncmp(all, begin, strlen(begin)) == 0 && used + n + 2 < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", used ? "\n" : "",
                                     (int)n, all);
    }
    if (used > 0)
        fm_cli_print_examples(to, text, SIZE_MAX);
}

static void program_page(FILE *to, const void *what, const fm_cli_view *view)
{
    const listing *l = what;
    const fm_cli_program *p = l->program;
    size_t left_out;

    fprintf(to, "Usage: %s %s%sCOMMAND [OPTION]...\n\n", p->program, l->group,
            *l->group ? " " : "");
    if (!*l->group) {
        fm_cli_print_wrapped(to, p->summary, 0);
        fputc('\n', to);
    }
    fprintf(to, "Commands:\n");
    left_out = list_commands(to, l, view);
    if (*l->group) {
        fprintf(to, "\nTry '%s COMMAND --help' for one command.\n", p->program);
        group_examples(to, l);
        return;
    }
    if (view->rare)
        fprintf(to, "\nOptions:\n"
                    "  --help        show this text; after a command, that command's\n"
                    "  --version     show the version\n"
                    "  --completion  print a completion script for bash\n");
    else
        fprintf(to,
                "\nAll of it%s: --help=all. Of one: %s COMMAND --help.\n"
                "Also: --version, --completion (prints a completion script for bash).\n",
                left_out > 0 ? ", and rarer commands" : "", p->program);
    fm_cli_print_examples(to, p->examples, view->examples);
}

static void print_program_help(const fm_cli_program *p, FILE *to, const char *group, bool all)
{
    const listing l = { .program = p, .group = group };

    fm_cli_print_page(to, program_page, &l, all, p->command_count, p->examples);
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
        print_program_help(p, stderr, argv[1], false);
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

/* What the program answers by itself. @return whether it did. */
static bool answer(const fm_cli_program *p, int argc, char **argv)
{
    bool all;

    if (fm_cli_is_help(argv[1], &all))
        print_program_help(p, stdout, "", all);
    else if (argc > 2 && fm_cli_is_help(argv[2], &all) && is_group(p, argv[1]))
        print_program_help(p, stdout, argv[1], all);
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
        print_program_help(p, stderr, "", false);
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
