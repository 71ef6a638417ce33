/* fedmoe-node ledger verify, export, import: for an auditor, and after a loss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/ledger_text.h"
#include "fedmoe/node/config.h"
#include "run_internal.h"

static fm_status open_to_read(const fm_node_config *c, fm_ledger **out)
{
    fm_status st = fm_ledger_open_readonly(c->ledger, out);

    if (st == FM_ENOTFOUND)
        return fm_node_books_missing(c);
    return st;
}

/* ---- verify ---- */

static fm_status print_verdict(const fm_node_config *c, uint64_t entries, const fm_hash *head,
                               bool json)
{
    char hex[2 * FM_HASH_BYTES + 1];
    json_t *j;
    fm_status st;

    fm_hash_hex(head, hex);
    if (!json) {
        printf("%s: %llu entries, the chain of hashes is whole; head %s\n", c->ledger,
               (unsigned long long)entries, hex);
        return FM_OK;
    }
    j = json_pack("{s:s s:b s:I s:s}", "ledger", c->ledger, "chain_verified", 1, "entries",
                  (json_int_t)entries, "head", hex);
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the answer");
    json_decref(j);
    return st;
}

static fm_status verify(const fm_node_config *c, bool json)
{
    fm_ledger *l = NULL;
    uint64_t entries = 0;
    fm_hash head = { 0 };
    fm_status st;

    if ((st = open_to_read(c, &l)) == FM_OK && (st = fm_ledger_verify(l, &entries)) == FM_OK &&
        (st = fm_ledger_head(l, &head)) == FM_OK)
        st = print_verdict(c, entries, &head, json);
    fm_ledger_close(&l);
    return st;
}

int fm_cmd_ledger_verify(int argc, char **argv)
{
    const char *config = "node.yaml";
    bool json = false;
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config), FM_CMD_JSON_OPTION(json) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node ledger verify",
        .summary = "Recompute every hash of the ledger: that no entry was altered, taken out or "
                   "put in between. The head stands for the whole of it: two copies with one head "
                   "are one ledger.",
        .examples = "fedmoe-node ledger verify\nfedmoe-node ledger verify --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_node_config c = { 0 };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if ((st = fm_node_config_load(config, &c)) == FM_OK)
        st = verify(&c, json);
    fm_node_config_fini(&c);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}

/* ---- export ---- */

static fm_status write_out(const fm_buf *text, const char *output)
{
    if (output)
        return fm_file_replace(output, text->data, text->len, 0600);
    if (fwrite(text->data, 1, text->len, stdout) != text->len || fflush(stdout) != 0)
        return fm_fail(FM_EIO, "the export could not be written to standard output");
    return FM_OK;
}

static fm_status export_to(const fm_node_config *c, fm_ledger_text as, const char *output)
{
    fm_ledger *l = NULL;
    fm_buf text = { .limit = FM_FILE_MAX_STREAM };
    fm_status st;

    if ((st = open_to_read(c, &l)) == FM_OK && (st = fm_ledger_verify(l, NULL)) == FM_OK &&
        (st = fm_ledger_export(l, as, &text)) == FM_OK)
        st = write_out(&text, output);
    fm_buf_fini(&text);
    fm_ledger_close(&l);
    return st;
}

int fm_cmd_ledger_export(int argc, char **argv)
{
    const char *config = "node.yaml", *format = "json", *output = NULL;
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(config),
        { "format", FM_CLI_STRING, &format, "json|csv", "default: json", false, 0, 0 },
        { "output", FM_CLI_STRING, &output, "FILE",
          "write this file (mode 0600); default: standard output", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node ledger export",
        .summary = "Verify the ledger, then write every field of every entry, numbers with all "
                   "their digits: for other software to check the chain and add it up again "
                   "(docs/ledger.md), or to keep as a backup.",
        .examples = "fedmoe-node ledger export --format csv --output ledger.csv\n"
                    "fedmoe-node ledger export > ledger.json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_node_config c = { 0 };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (strcmp(format, "json") != 0 && strcmp(format, "csv") != 0) {
        fprintf(stderr, "%s: --format is json or csv, not '%s'\n", spec.program, format);
        return 2;
    }
    if ((st = fm_node_config_load(config, &c)) == FM_OK &&
        (!output || (st = fm_cmd_check_apart(output, config, &c)) == FM_OK))
        st = export_to(&c, *format == 'c' ? FM_LEDGER_CSV : FM_LEDGER_JSON, output);
    fm_node_config_fini(&c);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}

/* ---- import ---- */

static fm_status add_entries(const fm_node_config *c, const char *file)
{
    fm_ledger_row *rows = NULL;
    fm_ledger *l = NULL;
    size_t count = 0;
    uint64_t added = 0, entries = 0;
    fm_status st;

    if ((st = fm_ledger_read(file, &rows, &count)) == FM_OK &&
        (st = fm_ledger_open(c->ledger, &l)) == FM_OK &&
        (st = fm_ledger_import(l, rows, count, &added)) == FM_OK &&
        (st = fm_node_books_follow(c, l)) == FM_OK && (st = fm_ledger_verify(l, &entries)) == FM_OK)
        printf("%s: %llu of the %zu entries in %s were missing and are added; it now has %llu, the "
               "chain of hashes is whole\n",
               c->ledger, (unsigned long long)added, count, file, (unsigned long long)entries);
    fm_ledger_close(&l);
    free(rows);
    return st;
}

static fm_status import(const char *config, const char *file)
{
    fm_node_config c = { 0 };
    int lock = -1;
    fm_status st;

    if ((st = fm_node_config_load(config, &c)) == FM_OK &&
        (st = fm_dir_lock(c.dir, &lock)) == FM_OK)
        st = add_entries(&c, file);
    fm_dir_unlock(&lock);
    fm_node_config_fini(&c);
    return st;
}

int fm_cmd_ledger_import(int argc, char **argv)
{
    const char *config = "node.yaml";
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node ledger import",
        .summary = "Add the entries that the ledger lacks, from an export (JSON, CSV) or another "
                   "copy of the ledger: after an old backup was restored, or the file was lost. "
                   "All or none; what does not continue the chain of hashes is refused. Also tells "
                   "the node's journal which rounds are used.",
        .examples = "fedmoe-node ledger import ledger.json\n"
                    "fedmoe-node ledger import --config node.yaml /backup/ledger.db",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "FILE",
        .operands_min = 1,
        .operands_max = 1,
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return import(config, argv[first]) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
