#ifndef FEDMOE_MODEL_TABLE_INTERNAL_H
#define FEDMOE_MODEL_TABLE_INTERNAL_H

#include "fedmoe/model/table.h"
#include "schema_internal.h"
#include "table_csv.h"

/* Problems of the records, each a line of text, up to some number. */
typedef struct {
    fm_buf text;
    fm_buf *all; /* NULL, or where every one is appended with its line end */
    size_t count, max;
    bool gave_up;     /* too many, or nothing more can be read */
    const char *then; /* what lists the rest; NULL: fedmoe-model check */
} fm_problems;

/** Note the calling thread's error text. FM_OK to go on; FM_EPARSE when there are too many. */
FM_NODISCARD fm_status fm_problem(fm_problems *p);
/** As fm_problem, and nothing more is to be read. */
FM_NODISCARD fm_status fm_problem_last(fm_problems *p);
/** FM_EPARSE with all of them. */
FM_NODISCARD fm_status fm_problems_fail(const fm_problems *p);

/* table_bind.c: which field of the file is which column. */
typedef struct {
    const char *name; /* of the file */
    const fm_schema *schema;
    bool labels, hide_values;
    const struct fm_raw *raw;           /* NULL: the records are encoded */
    const fm_dialect *dialect;          /* NULL: as the schema says */
    char (*rewritten)[FM_DIALECT_CELL]; /* [columns] of the record at hand; owned, NULL without */
    const char *unit, *id;              /* further columns that are wanted, or NULL */
    size_t fields;                      /* every record must have */
    bool has_header, ends_empty;        /* the header's last field has no name */
    size_t *place; /* [columns] which field is which column, or SIZE_MAX; owned */
    size_t unit_place, id_place;
    fm_csv_scan
        *rest; /* NULL, or the records behind the first: looked through when it is no header */
} fm_binding;

/** By the file's first record. FM_EPARSE: with problems noted; nothing can be read.
 *  @param is_record out: it is a record itself, not the header. */
FM_NODISCARD fm_status fm_bind(fm_binding *b, const fm_csv_record *first, fm_problems *p,
                               bool *is_record);
void fm_binding_fini(fm_binding *b);
/** What separates the file's columns. */
char fm_bind_delimiter(const fm_binding *b);
/* table_header.c */
/** Several fields are wanted, and the first record is one, with another delimiter in it or quotes around:
 *  FM_EPARSE, with one problem that says so. */
FM_NODISCARD fm_status fm_header_delimiter(const fm_binding *b, const fm_csv_record *r,
                                           size_t wanted, fm_problems *p);
/** b->place by the names of the first record. FM_EPARSE: every fault is a problem. */
FM_NODISCARD fm_status fm_header_read(fm_binding *b, const fm_csv_record *r, fm_problems *p);
/** FM_EPARSE unless the record has as many fields as it must. */
FM_NODISCARD fm_status fm_bind_check(const fm_binding *b, const fm_csv_record *r);
/** The cells of the schema's columns; what is absent is {NULL, 0}. */
void fm_bind_cells(const fm_binding *b, const fm_csv_record *r, fm_slice *cells);
/** Encode the record, as fm_schema_encode_row. FM_EPARSE, the text with file and line.
 *  @param cells room for one for each column. @param label NULL unless labels are wanted. */
FM_NODISCARD fm_status fm_bind_encode(const fm_binding *b, const fm_csv_record *r, fm_slice *cells,
                                      float *features, float *label, double *values);
/** FM_EPARSE with file, line and column; `st` is what reading the cell said. */
fm_status fm_bind_fault(const fm_binding *b, const fm_csv_record *r, size_t column, fm_status st);

/** Whose record it is: `len` bytes of `key`. FM_EPARSE: it does not say, or no more. */
FM_NODISCARD fm_status fm_unit_key(const fm_binding *b, const fm_csv_record *r, const char **key,
                                   size_t *len);

/*
 * Whose record is whose (table_unit.c). Keys are kept as 16 bytes of their digest, which makes the
 * memory a function of the number of units: 24 to 96 bytes each. Two keys that met there would be
 * one unit: the safe mistake, of probability units^2 / 2^129.
 */
typedef struct {
    fm_arena *memory; /* wiped when freed; NULL at first */
    struct fm_unit_slot *slots;
    size_t cap;   /* a power of two; at least twice count */
    size_t count; /* units */
} fm_unit_index;

/** Number of the unit of this key: its own, or the next one. FM_ENOMEM. */
FM_NODISCARD fm_status fm_unit_index_number(fm_unit_index *x, const char *key, size_t len,
                                            uint32_t *out);
void fm_unit_index_fini(fm_unit_index *x);
/** Fill in t's grouping. @param unit_of [t->rows], all below `units`, which is above 0. */
FM_NODISCARD fm_status fm_table_group(fm_table *t, const uint32_t *unit_of, size_t units);

/* table.c: memory of records. */
void fm_wipe_free(void *p, size_t count, size_t size); /* NULL: nothing to do */
/** Room for `cap` elements in *at, of which there are `used`. Never realloc: it would leave a copy
 *  of records that is not wiped. */
FM_NODISCARD fm_status fm_widen(void **at, size_t used, size_t cap, size_t size);

/*
 * table_store.c: records by their values, a few bytes a column, first in memory, then in a scratch
 * file; features are made of them when they are read (fm_table_reader).
 */
/** @param s outlives the store. @param raw_count 0: values of the schema's columns and, with labels,
 *  the label; else so many doubles. */
FM_NODISCARD fm_status fm_table_store_new(const fm_schema *s, bool labels, size_t raw_count,
                                          fm_table_store **out);
void fm_table_store_free(fm_table_store **s);       /* wipes */
size_t fm_table_store_row(const fm_table_store *s); /* bytes */
/** Behind the others. @param values [columns] or [raw_count]. FM_ENOMEM, FM_EIO. */
FM_NODISCARD fm_status fm_table_store_put(fm_table_store *s, const double *values, float label);
/** From now on to a scratch file in `dir` (fm_scratch_new), with what there is. FM_EIO. */
FM_NODISCARD fm_status fm_table_store_spill(fm_table_store *s, const char *dir);
bool fm_table_store_spilled(const fm_table_store *s);
/** All are there: they can be read, if in a scratch file. FM_EIO. */
FM_NODISCARD fm_status fm_table_store_seal(fm_table_store *s);

/* table_raw.c: the columns of fm_table_options.raw, found in the schema. */
typedef struct fm_raw fm_raw;
FM_NODISCARD fm_status fm_raw_open(const fm_schema *s, const fm_raw_column *columns, size_t count,
                                   fm_raw **out);
void fm_raw_close(fm_raw **r);
bool fm_raw_wants(const fm_raw *r, size_t column);
/** One record; out: [count]. FM_EPARSE, *column being the schema's at fault. */
FM_NODISCARD fm_status fm_raw_read(const fm_raw *r, const fm_slice *cells, double *out,
                                   size_t *column);

#endif
