/* What scripts and shells ask: --completion, --options, --version. */
#include <string.h>

#include "cli_internal.h"

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

        if (!fm_cli_in_group(&p->commands[i], before))
            continue;
        len = strcspn(word, " ");
        for (size_t k = 0; k < i && !again; k++) {
            const char *other = p->commands[k].name + skip;

            again = fm_cli_in_group(&p->commands[k], before) && strcspn(other, " ") == len &&
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
            again = fm_cli_in_group(&p->commands[k], group);
        if (again)
            continue;
        printf("    %s) if (( COMP_CWORD > 2 )); then command=\"$command ${COMP_WORDS[2]}\"\n"
               "        else words='",
               group);
        print_words(p, group);
        printf("'; fi ;;\n");
    }
}

void fm_cli_print_completion(const fm_cli_program *p)
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

/* A program without commands: its options, and file names for all else. */
static void print_program_completion(const char *program)
{
    char name[80];

    function_name(program, name, sizeof name);
    printf("# bash completion for %s; to use it: source <(%s --completion)\n"
           "%s()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]}\n"
           "    COMPREPLY=()\n"
           "    if [[ $cur == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" --options 2>/dev/null)\" -- "
           "\"$cur\"))\n"
           "    fi\n}\n"
           "complete -o default -F %s %s\n",
           program, program, name, name, program);
}

void fm_cli_print_version(const char *program)
{
    printf("%s %s\n", program, FM_VERSION);
}

static void print_option_names(const fm_cli_spec *spec)
{
    for (size_t i = 0; i < spec->option_count; i++)
        printf("--%s\n", spec->options[i].name);
    printf("--help\n%s", fm_cli_is_program(spec) ? "--version\n--completion\n" : "");
}

bool fm_cli_answer(const fm_cli_spec *spec, const char *arg)
{
    if (strcmp(arg, "--options") == 0)
        print_option_names(spec);
    else if (fm_cli_is_program(spec) && strcmp(arg, "--version") == 0)
        fm_cli_print_version(spec->program);
    else if (fm_cli_is_program(spec) && strcmp(arg, "--completion") == 0)
        print_program_completion(spec->program);
    else
        return false;
    return true;
}
