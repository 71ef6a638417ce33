/* What the parser (cli.c), help (cli_help.c), completion and programs of commands share. */
#ifndef FEDMOE_BASE_CLI_INTERNAL_H
#define FEDMOE_BASE_CLI_INTERNAL_H

#include <stdio.h>

#include "fedmoe/base/cli.h"

/** Whether a spec is a program by itself ("fedmoe-demo"), not a command of one. */
bool fm_cli_is_program(const fm_cli_spec *spec);

/* cli_program.c */
/** Whether a command belongs to the group: "ca new" to "ca"; every command to "". */
bool fm_cli_in_group(const fm_cli_command *c, const char *group);

/* cli_help.c */
/** What of a page of help is shown. */
typedef struct {
    bool rare;       /* what is marked rare too, and each command of a group */
    size_t entries;  /* of options or commands, so many from the beginning, and the required ones */
    size_t examples; /* so many of them */
} fm_cli_view;
typedef void fm_cli_page(FILE *to, const void *what, const fm_cli_view *view);
/** As much of a page as fits on a screen of 24 lines; with `all`, all of it. */
void fm_cli_print_page(FILE *to, fm_cli_page *page, const void *what, bool all, size_t entries,
                       const char *examples);

/** Whether a list ("one, two words"; or NULL) has the name. */
bool fm_cli_lists(const char *list, const char *name);
/** Whether an argument asks for help. @param all  out: for all of it. */
bool fm_cli_is_help(const char *arg, bool *all);
/** Words of `text`, broken at 80 columns; further lines begin at column `indent`, as the first. */
void fm_cli_print_wrapped(FILE *to, const char *text, int indent);
/**
 * "Examples:" and the first `count` lines of `examples`, each with an indent of two and, where it
 * is longer than a line, continued as a shell reads it; nothing for NULL.
 */
void fm_cli_print_examples(FILE *to, const char *examples, size_t count);
void fm_cli_print_help(const fm_cli_spec *spec, bool all);

/* cli_completion.c */
/**
 * The questions that an argument alone may ask: --options (hidden: what completion scripts ask),
 * and of a program without commands --version and --completion. @return whether it was one.
 */
bool fm_cli_answer(const fm_cli_spec *spec, const char *arg);
void fm_cli_print_version(const char *program);
/** A completion script for bash. */
void fm_cli_print_completion(const fm_cli_program *p);

#endif
