/* What stands at the paths of node.yaml. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config_internal.h"
#include "fedmoe/base/file.h"

fm_status fm_node_config_check_expanded(const fm_yaml_node *n, const char *path, const char *dir)
{
    const char *dollar = strchr(path, '$'), *end = *path == '~' ? strchr(path, '/')
                                                   : dollar     ? strchr(dollar, '/')
                                                                : NULL;
    char *folder = NULL, *first = NULL;
    fm_status st;

    if (!end)
        return FM_OK;
    if ((st = fm_strdup(path, &first)) != FM_OK)
        return st;
    first[end - path] = '\0';
    st = fm_path_join(dir, first, &folder);
    if (st == FM_OK && !fm_file_exists(folder))
        st =
            fm_yaml_fail(n,
                         "'%.200s' is not there: ~ and $NAME are a shell's, and mean nothing here; "
                         "write the path out, from the first /",
                         path);
    free(folder);
    free(first);
    return st;
}

/* What stands at a path may not be there yet; if it is, it is of the right kind. */
static fm_status check_place(const fm_yaml_node *map, const char *key, const char *path,
                             bool folder)
{
    const fm_yaml_node *node = fm_yaml_find(map, key);
    struct stat info;

    if (!node || !path || stat(path, &info) != 0)
        return FM_OK;
    if (folder && !S_ISDIR(info.st_mode))
        return fm_yaml_fail(node, "%s: %.300s is no folder, and must be one%s", key, path,
                            strcmp(key, "identity") == 0 ? ": that of identity.crt and identity.key"
                                                         : "");
    if (!folder && S_ISDIR(info.st_mode))
        return fm_yaml_fail(node, "%s: %.300s is a folder, and must be a file", key, path);
    return FM_OK;
}

/* The ledger is a file of its own: nothing else may be written over. */
static fm_status check_ledger_place(const fm_yaml_node *root, const fm_node_config *c)
{
    const fm_yaml_node *node = fm_yaml_find(root, "ledger");
    const size_t len = strlen(c->ledger);
    const fm_status st = check_place(root, "ledger", c->ledger, false);

    if (st != FM_OK)
        return st;
    if (len > 0 && c->ledger[len - 1] == '/')
        return fm_yaml_fail(node, "ledger: %.300s ends with a slash, and must be a file's name",
                            c->ledger);
    if ((c->records && strcmp(c->records, c->ledger) == 0) ||
        (c->schema && strcmp(c->schema, c->ledger) == 0))
        return fm_yaml_fail(node,
                            "ledger: %.300s is the file of the records or of the schema; the "
                            "ledger is a file of its own, which the first start makes",
                            c->ledger);
    return FM_OK;
}

fm_status fm_node_config_check_places(const fm_yaml_node *root, const fm_node_config *c)
{
    const fm_yaml_node *data = fm_yaml_find(root, "data");
    fm_status st;

    if ((st = check_place(root, "identity", c->identity_dir, true)) != FM_OK ||
        (st = check_place(data, "records", c->records, false)) != FM_OK ||
        (st = check_place(data, "schema", c->schema, false)) != FM_OK ||
        (st = check_place(data, "scratch", c->scratch, true)) != FM_OK)
        return st;
    if (c->records && c->schema && strcmp(c->records, c->schema) == 0)
        return fm_yaml_fail(fm_yaml_find(data, "schema"),
                            "schema: %.300s is named as the records, too", c->schema);
    return check_ledger_place(root, c);
}
