/*
 * How one institution's files are written: what a schema, which all members share, cannot know. The
 * same records in another dialect are the same records, bit by bit.
 *
 *   csv:                       # in node.yaml, under data; all keys may be left out
 *     delimiter: ";"           # , ; | : or "\t" (default: the schema's)
 *     header: true             # the first line names the columns (default: as the schema says)
 *     decimal: ","             # of numbers (default: ".")
 *     thousands: "."           # . , ' or " ", which is any space; none by default
 *     dates: DMY               # 31.12.2024, 31/12/2024; or MDY, 12/31/2024; or YMD, 2024-12-31: a time
 *                              # behind the day is passed over (default: 2024-12-31 and no time)
 *     missing: [NA, "-9"]      # cells that mean "not measured", beside the schema's
 *     encoding: windows-1252   # any that iconv knows (default: UTF-8)
 *     skip_lines: 3            # before the header
 *     comment: "#"             # lines that begin with it are passed over
 *
 * Nothing is guessed: where a cell could be read in two ways it is an error.
 */
#ifndef FEDMOE_MODEL_DIALECT_H
#define FEDMOE_MODEL_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/base/yaml.h"

typedef enum {
    FM_DATES_PLAIN, /* YYYY-MM-DD, and nothing behind it */
    FM_DATES_YMD,
    FM_DATES_DMY,
    FM_DATES_MDY,
} fm_date_order;

typedef enum {
    FM_HEADER_AS_SCHEMA,
    FM_HEADER_YES,
    FM_HEADER_NO,
} fm_header_is;

typedef struct {
    char delimiter; /* 0: the schema's */
    fm_header_is header;
    char decimal;   /* 0: '.' */
    char thousands; /* 0: none; ' ' stands for no-break spaces, too */
    fm_date_order dates;
    char **missing; /* [missing_count], owned */
    size_t missing_count;
    char *encoding; /* owned; NULL: bytes as they are */
    size_t skip_lines;
    char comment; /* 0: none */
} fm_dialect;

/** @param map the node `csv`. FM_EPARSE with line and column; FM_ENOMEM. On error *out is unchanged. */
FM_NODISCARD fm_status fm_dialect_read(const fm_yaml_node *map, fm_dialect *out);
void fm_dialect_fini(fm_dialect *d); /* safe on a zeroed one */

#endif
