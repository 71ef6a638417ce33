#include "commands.h"

#include <stdlib.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "run_internal.h"

fm_status fm_cmd_read_json(const char *config, const char *name, json_t **out)
{
    char *dir = NULL;
    fm_status st = fm_path_dir(config, &dir);

    if (st == FM_OK)
        st = fm_node_read_json(dir, name, out);
    free(dir);
    return st;
}

fm_status fm_cmd_check_apart(const char *output, const char *config, const fm_node_config *c)
{
    const char *kept[FM_NODE_MAX_FILES + 2];
    size_t count = fm_node_config_files(c, kept);

    kept[count++] = config;
    kept[count++] = c->ledger;
    return fm_file_check_apart(output, kept, count);
}

const char *fm_cmd_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

double fm_cmd_real(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

long long fm_cmd_whole(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}
