/* The door as a desk needs it: its key, and the address that members are given. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "config_internal.h"
#include "directory_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/proto/link/link.h"

#define Z85_LEN 40

fm_status fm_directory_door_secret(const char *dir, uint8_t **out)
{
    char *path = NULL;
    fm_buf text = { 0 };
    uint8_t *secret;
    fm_status st;

    if (!(secret = sodium_malloc(FM_CURVE_KEY_BYTES)))
        return fm_fail(FM_ENOMEM, "no guarded memory for the door key");
    if ((st = fm_path_join(dir, "door.key", &path)) != FM_OK ||
        (st = fm_file_read_private(path, 64, &text)) != FM_OK)
        goto done;
    if (text.len == Z85_LEN + 1 && text.data[Z85_LEN] == '\n') {
        text.data[Z85_LEN] = '\0';
        st = fm_curve_parse((const char *)text.data, secret);
    } else {
        st = FM_EPARSE;
    }
    if (st == FM_EPARSE) /* without the text: it is a key, if a damaged one */
        st = fm_fail(FM_EPARSE,
                     "%s: not a door key; restore it from your backup (a new init is a new run, "
                     "with a door of its own)",
                     path);
done:
    fm_buf_fini(&text);
    free(path);
    if (st != FM_OK)
        sodium_free(secret);
    else
        *out = secret;
    return st;
}

fm_status fm_directory_door_public(const char *dir, uint8_t out[FM_CURVE_KEY_BYTES])
{
    uint8_t *secret = NULL;
    fm_status st = fm_directory_door_secret(dir, &secret);

    if (st == FM_OK)
        st = fm_curve_public(secret, out);
    sodium_free(secret); /* NULL is fine */
    return st;
}

fm_status fm_directory_door_address(const char *dir, char **out)
{
    fm_aggregator_config c = { 0 };
    fm_yaml *doc = NULL;
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(dir, "federation.yaml", &path)) == FM_OK &&
        (st = fm_yaml_load(path, &doc)) == FM_OK &&
        (st = fm_config_read_listen(fm_yaml_root(doc), &c)) == FM_OK) {
        *out = c.door;
        c.door = NULL;
    }
    fm_aggregator_config_fini(&c);
    fm_yaml_free(&doc);
    free(path);
    return st;
}
