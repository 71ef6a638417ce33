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
/** Words of `text`, broken at 80 columns; further lines begin at column `indent`, as the first. */
void fm_cli_print_wrapped(FILE *to, const char *text, int indent);
/** "Examples:" and the lines of `examples`, each with an indent of two; nothing for NULL. */
void fm_cli_print_examples(FILE *to, const char *examples);
void fm_cli_print_help(const fm_cli_spec *spec);

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
