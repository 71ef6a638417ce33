/*
 * Command lines: a table of commands, a table of options for each; help, completion and
 * messages come from the tables. Exit codes: 0 done, 1 failed, 2 usage. For the main thread.
 */
#ifndef FEDMOE_BASE_CLI_H
#define FEDMOE_BASE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

typedef enum {
    FM_CLI_FLAG,   /* bool * */
    FM_CLI_STRING, /* const char **, borrowed from argv */
    FM_CLI_DOUBLE, /* double *, finite, within [lo, hi] */
    FM_CLI_U64,    /* uint64_t *, within [lo, hi] */
    FM_CLI_LIST,   /* fm_cli_list *: the option may be given again */
} fm_cli_kind;

typedef struct {
    const char **items; /* owned by the parser's caller: free(items) */
    size_t count;
} fm_cli_list;

typedef struct {
    const char *name; /* "epsilon": given as --epsilon VALUE or --epsilon=VALUE */
    fm_cli_kind kind;
    void *out;         /* left alone when the option is absent: preset the default */
    const char *value; /* name of the value in help ("DIR"); NULL for a flag */
    const char *help;  /* a phrase; shown broken at 80 columns */
    bool required;
    double lo, hi; /* for numbers; both 0 means any */
} fm_cli_option;

typedef struct {
    const char *program;  /* "fedmoe-node start" */
    const char *summary;  /* one sentence */
    const char *examples; /* lines, each a whole command, the best one first; shown broken */
    const fm_cli_option *options; /* the most used ones first: the last give way in --help */
    size_t option_count;
    const char *operands; /* "FILE..." or NULL when there are none */
    size_t operands_min, operands_max;
    const char
        *rare; /* "seed, rounds": options that --help leaves to --help=all for want of space */
} fm_cli_spec;

typedef enum { FM_CLI_RUN, FM_CLI_HELP_SHOWN, FM_CLI_USAGE } fm_cli_result;

/**
 * Parse argv[1..]. On FM_CLI_USAGE the reason and a pointer to --help are on standard error.
 * Answers --help by itself, on a screen of 24 lines (what gives way, in this order: rare options,
 * examples but the first, options from the end, but no required one), and --help=all; of a program
 * without commands (no space in its name) also --version and --completion.
 * @param operands  out: index in argv of the first operand (argv is permuted).
 */
FM_NODISCARD fm_cli_result fm_cli_parse(const fm_cli_spec *spec, int argc, char **argv,
                                        int *operands);

/**
 * What a command begins with: fm_cli_parse.
 * @param code  out: the exit code, when the command is not to run.
 * @return whether to run it.
 */
FM_NODISCARD bool fm_cli_begin(const fm_cli_spec *spec, int argc, char **argv, int *operands,
                               int *code);

typedef struct {
    const char *name; /* "ledger" or "ca new" (two words) */
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's last word; returns exit code */
} fm_cli_command;

typedef struct {
    const char *program;
    const char *summary;
    const char *examples;
    const fm_cli_command *commands;
    size_t command_count;
    const char *rare; /* "logits, ca drop": likewise of commands */
    /* Lines, each a whole command: the --help of a group ("PROGRAM ca") shows those of it. */
    const char *group_examples;
} fm_cli_program;

/**
 * Dispatch to a command. Knows --help (a screen, with one line for each group of commands where
 * they do not fit), --help=all, --version and --completion (prints a bash completion
 * script) by itself; calls fm_random_init and fm_file_remove_on_signals, and ends with fm_cli_end.
 * @return the exit code.
 */
int fm_cli_main(const fm_cli_program *p, int argc, char **argv);

/** "program: <error text>" on standard error, a line for each of the text's, further ones set in;
 *  control characters are shown as '?'. Returns 1, the exit code of a failure. */
int fm_cli_failed(const char *program);

/**
 * What a program ends with (fm_cli_main does): what it printed must have arrived.
 * @param code  the exit code so far.
 * @return it, or 1 instead of 0 with the reason on standard error (a full disk, for one).
 */
int fm_cli_end(const char *program, int code);

/** Whether to use colour and redraw lines: a terminal, and NO_COLOR is not set. */
bool fm_cli_is_terminal(int fd);
bool fm_cli_colour(int fd);

/** Progress on standard error: a bar with time left on a terminal, a plain line per tenth else. */
typedef struct {
    const char *label;
    uint64_t total, done, started_ms, shown;
    bool terminal;
} fm_progress;
void fm_progress_start(fm_progress *p, const char *label, uint64_t total);
void fm_progress_set(fm_progress *p, uint64_t done);
void fm_progress_end(fm_progress *p);

#endif
