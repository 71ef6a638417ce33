/* A program of several commands: dispatch, --help, --version, --completion. */
#include "fedmoe/base/cli.h"

#include <stdio.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "text_internal.h"

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

/* Whether a command belongs to the group: "ca new" to "ca"; every command to "". */
static bool in_group(const fm_cli_command *c, const char *group)
{
    size_t len = strlen(group);

    return len == 0 || (strncmp(c->name, group, len) == 0 && c->name[len] == ' ');
}

static bool is_group(const fm_cli_program *p, const char *word)
{
    for (size_t i = 0; *word && i < p->command_count; i++)
        if (in_group(&p->commands[i], word))
            return true;
    return false;
}

static void print_program_help(const fm_cli_program *p, FILE *to, const char *group)
{
    size_t width = 0;

    for (size_t i = 0; i < p->command_count; i++)
        if (in_group(&p->commands[i], group) && strlen(p->commands[i].name) > width)
            width = strlen(p->commands[i].name);
    fprintf(to, "Usage: %s %s%sCOMMAND [OPTION]...\n\n", p->program, group, *group ? " " : "");
    if (!*group)
        fprintf(to, "%s\n\n", p->summary);
    fprintf(to, "Commands:\n");
    for (size_t i = 0; i < p->command_count; i++)
        if (in_group(&p->commands[i], group))
            fprintf(to, "  %-*s  %s\n", (int)width, p->commands[i].name, p->commands[i].summary);
    if (*group) {
        fprintf(to, "\nTry '%s COMMAND --help' for one command.\n", p->program);
        return;
    }
    fprintf(to, "\nOptions:\n"
                "  --help        show this text; after a command, that command's\n"
                "  --version     show the version\n"
                "  --completion  print a completion script for bash\n");
    if (p->examples) {
        fprintf(to, "\nExamples:\n");
        for (const char *text = p->examples; *text;) {
            size_t len = strcspn(text, "\n");

            fprintf(to, "%s%.*s\n", len ? "  " : "", (int)len, text);
            text += len + (text[len] == '\n');
        }
    }
}

/* A shell function name: letters, digits and underscores. */
static void function_name(const char *program, char *out, size_t cap)
{
    (void)snprintf(out, cap, "_%s", program);
    for (char *c = out; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '_';
}

/* Words that may follow `before` ("" or "ca"), each once. */
static void print_words(const fm_cli_program *p, const char *before)
{
    size_t skip = *before ? strlen(before) + 1 : 0;
    const char *sep = "";

    for (size_t i = 0; i < p->command_count; i++) {
        const char *word = p->commands[i].name + skip;
        size_t len;
        bool again = false;

        if (!in_group(&p->commands[i], before))
            continue;
        len = strcspn(word, " ");
        for (size_t k = 0; k < i && !again; k++) {
            const char *other = p->commands[k].name + skip;

            again = in_group(&p->commands[k], before) && strcspn(other, " ") == len &&
                    strncmp(other, word, len) == 0;
        }
        if (again)
            continue;
        printf("%s%.*s", sep, (int)len, word);
        sep = " ";
    }
}

static void print_groups(const fm_cli_program *p)
{
    for (size_t i = 0; i < p->command_count; i++) {
        char group[64];
        const char *space = strchr(p->commands[i].name, ' ');
        bool again = false;

        if (!space)
            continue;
        (void)snprintf(group, sizeof group, "%.*s", (int)(space - p->commands[i].name),
                       p->commands[i].name);
        for (size_t k = 0; k < i && !again; k++)
            again = in_group(&p->commands[k], group);
        if (again)
            continue;
        printf("    %s) if (( COMP_CWORD > 2 )); then command=\"$command ${COMP_WORDS[2]}\"\n"
               "        else words='",
               group);
        print_words(p, group);
        printf("'; fi ;;\n");
    }
}

static void print_completion(const fm_cli_program *p)
{
    char name[80];

    function_name(p->program, name, sizeof name);
    printf("# bash completion for %s; to use it: source <(%s --completion)\n", p->program,
           p->program);
    printf("%s()\n{\n", name);
    printf("    local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n");
    printf("    COMPREPLY=()\n");
    printf("    if (( COMP_CWORD == 1 )); then\n        COMPREPLY=($(compgen -W '");
    print_words(p, "");
    printf(" --help --version --completion' -- \"$cur\"))\n        return\n    fi\n");
    printf("    case $command in\n");
    print_groups(p);
    printf("    esac\n");
    printf("    if [[ $cur == -* && -z $words ]]; then\n"
           "        words=$(\"${COMP_WORDS[0]}\" $command --options 2>/dev/null)\n"
           "    fi\n"
           "    if [[ -n $words ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "    fi\n}\n");
    printf("complete -o default -F %s %s\n", name, p->program);
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
        printf("%s %s\n", p->program, FM_VERSION);
    else if (strcmp(argv[1], "--completion") == 0)
        print_completion(p);
    else
        return false;
    fflush(stdout);
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
    for (size_t i = 0; i < p->command_count; i++) {
        int words = match(p->commands[i].name, argc, argv);

        if (words > 0)
            return p->commands[i].run(argc - words, argv + words);
    }
    return answer(p, argc, argv) ? 0 : unknown_command(p, argc, argv);
}
