#include "cmd_carry.h"

#include <stdlib.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/provenance/derivation.h"

#define ADAPTER_FILE "adapter_model.safetensors"

/* PEFT's folder stays PEFT's: no file more. */
static fm_status place(const char *output, char **out)
{
    fm_status st = fm_path_join(output, ADAPTER_FILE, out);

    if (st || fm_file_exists(*out))
        return st;
    free(*out);
    return fm_strdup(output, out);
}

static fm_status has_card(const char *model, bool *out)
{
    fm_safetensors *card = NULL;
    fm_status st = fm_card_open(model, &card);

    *out = st == FM_OK;
    fm_safetensors_free(&card);
    if (st == FM_ENOTFOUND) {
        fm_error_clear();
        st = FM_OK;
    }
    return st;
}

/* A file in 8 bits is soon made again, and without its card nobody would be asked for the policy. */
static fm_status without_card(fm_status st, const char *output)
{
    if (unlink(output) == 0)
        return fm_fail_context(st, "the card cannot be carried on, so nothing is written: ");
    return fm_fail_context(st, "the output is written, but without its parent's card: ");
}

fm_status fm_cmd_carry_card(const char *model, const char *adapter, const char *step,
                            const char *output)
{
    char *path = NULL;
    bool adapters = false;
    fm_status st = adapter ? has_card(adapter, &adapters) : FM_OK;

    if (!st && !(st = place(output, &path)))
        st = fm_card_carry(adapters ? adapter : model, step, path);
    free(path);
    return st ? without_card(st, output) : FM_OK;
}
