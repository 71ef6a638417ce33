/* The tree: built in yaml.c, read in yaml_read.c. */
#ifndef FEDMOE_BASE_YAML_INTERNAL_H
#define FEDMOE_BASE_YAML_INTERNAL_H

#include "fedmoe/base/yaml.h"

struct fm_yaml_node {
    const struct fm_yaml *doc;
    struct fm_yaml_node *next; /* every node of the document, for freeing */
    fm_yaml_kind kind;
    size_t line, column;      /* 1-based */
    char *text;               /* scalar; owned */
    bool plain;               /* scalar without quotes */
    bool commented;           /* plain, and a comment begins behind it without a space: " #x" */
    struct fm_yaml_node **at; /* list: elements; map: key, value, key, value ... */
    size_t count, cap;        /* of at */
};

struct fm_yaml {
    char *name;
    struct fm_yaml_node *nodes; /* the last of the text first */
    struct fm_yaml_node *root;
    bool cut; /* its last line has no end */
};

/** yaml_words.c: FM_EPARSE or FM_ENOMEM for what the parser stopped at. @param parser yaml_parser_t *,
 *  after a failure. @param text [len], what it reads from. */
FM_NODISCARD fm_status fm_yaml_fail_parser(const char *name, const void *parser, const char *text,
                                           size_t len);

/** yaml_kind.c: which other file of ours or of others this is by its keys: "a node.yaml", ...; NULL: none.
 *  @param known keys of the file that was to be read. @param key out: the one by which. Static. */
const char *fm_yaml_other_file(const fm_yaml_node *root, const char *const *known,
                               const fm_yaml_node **key);

#endif
