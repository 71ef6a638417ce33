/*
 * YAML in, through libyaml: a read-only tree whose nodes know their line and column.
 * Every reader states the keys it knows; others are refused with the line.
 * A document never changes: several threads may read one.
 */
#ifndef FEDMOE_BASE_YAML_H
#define FEDMOE_BASE_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"

typedef struct fm_yaml fm_yaml;           /* a document; owns all nodes */
typedef struct fm_yaml_node fm_yaml_node; /* borrowed from its document */

#define FM_YAML_MAX_BYTES ((size_t)1024 * 1024)
#define FM_YAML_MAX_DEPTH 32

/**
 * Parse one document. Anchors, aliases, tags and duplicate keys are refused.
 * @param name  how error texts call it ("node.yaml"); copied.
 * @return FM_OK; FM_EPARSE with "name:line:column: ..."; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_yaml_parse(const char *name, const void *text, size_t len, fm_yaml **out);
/** fm_file_read, then fm_yaml_parse under the path's name. */
FM_NODISCARD fm_status fm_yaml_load(const char *path, fm_yaml **out);
void fm_yaml_free(fm_yaml **doc);
const fm_yaml_node *fm_yaml_root(const fm_yaml *doc);

typedef enum { FM_YAML_SCALAR, FM_YAML_LIST, FM_YAML_MAP } fm_yaml_kind;
fm_yaml_kind fm_yaml_node_kind(const fm_yaml_node *n);
size_t fm_yaml_line(const fm_yaml_node *n);   /* 1-based */
size_t fm_yaml_column(const fm_yaml_node *n); /* 1-based */

/** Record "name:line:column: <text>" as the failure; always returns FM_EPARSE. */
#define fm_yaml_fail(n, ...) fm_status_known(fm_yaml_error((n), __VA_ARGS__), FM_EPARSE)
fm_status fm_yaml_error(const fm_yaml_node *n, const char *fmt, ...) FM_PRINTF(2, 3);

/** Whether a comment begins behind a text without quotes, and no space behind its #: perhaps it was to be a part
 *  of the text, as in "records: ward #3.csv". For error texts. */
bool fm_yaml_is_commented(const fm_yaml_node *n);

/** Elements of a list or pairs of a map; 0 for a scalar. */
size_t fm_yaml_size(const fm_yaml_node *n);
const fm_yaml_node *fm_yaml_item(const fm_yaml_node *list, size_t i);
/** The i-th pair of a map, in file order. */
const char *fm_yaml_key(const fm_yaml_node *map, size_t i);
const fm_yaml_node *fm_yaml_value(const fm_yaml_node *map, size_t i);

/** NULL when the key is absent. */
const fm_yaml_node *fm_yaml_find(const fm_yaml_node *map, const char *key);

/** FM_EPARSE unless `map` is a map with only keys of the NULL-terminated list `known`;
 *  the text names the unknown key, its line, and the nearest known one. */
FM_NODISCARD fm_status fm_yaml_check_keys(const fm_yaml_node *map, const char *const *known);

/* Typed reading of map[key]. Absent key: FM_EPARSE naming map line and key, unless a default
 * version (_or) is used; for those a map that is NULL has no keys. Values outside [lo, hi] are refused with both bounds named. */
FM_NODISCARD fm_status fm_yaml_get_string(const fm_yaml_node *map, const char *key,
                                          const char **out); /* borrowed; length >= 1 */
FM_NODISCARD fm_status fm_yaml_get_string_or(const fm_yaml_node *map, const char *key,
                                             const char *otherwise, const char **out);
FM_NODISCARD fm_status fm_yaml_get_double(const fm_yaml_node *map, const char *key, double lo,
                                          double hi, double *out);
FM_NODISCARD fm_status fm_yaml_get_double_or(const fm_yaml_node *map, const char *key, double lo,
                                             double hi, double otherwise, double *out);
FM_NODISCARD fm_status fm_yaml_get_u64(const fm_yaml_node *map, const char *key, uint64_t lo,
                                       uint64_t hi, uint64_t *out);
FM_NODISCARD fm_status fm_yaml_get_u64_or(const fm_yaml_node *map, const char *key, uint64_t lo,
                                          uint64_t hi, uint64_t otherwise, uint64_t *out);
FM_NODISCARD fm_status fm_yaml_get_bool_or(const fm_yaml_node *map, const char *key, bool otherwise,
                                           bool *out);
/** FM_EPARSE when absent or not a map / not a list. */
FM_NODISCARD fm_status fm_yaml_get_map(const fm_yaml_node *map, const char *key,
                                       const fm_yaml_node **out);
FM_NODISCARD fm_status fm_yaml_get_list(const fm_yaml_node *map, const char *key,
                                        const fm_yaml_node **out);

/** The text of a scalar; FM_EPARSE otherwise. Number of a scalar; strict, finite. */
FM_NODISCARD fm_status fm_yaml_scalar(const fm_yaml_node *n, const char **out);
/** Append `s` as a double-quoted scalar. FM_EINVAL: it holds a control character; FM_ENOMEM. */
FM_NODISCARD fm_status fm_yaml_quote(fm_buf *b, const char *s);
FM_NODISCARD fm_status fm_yaml_number(const fm_yaml_node *n, double *out);

#endif
