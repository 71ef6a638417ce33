/* check, of a node whose records are texts: by which schema, with which base model. One thread. */
#ifndef FEDMOE_NODE_CHECK_TEXTS_H
#define FEDMOE_NODE_CHECK_TEXTS_H

#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/node/config.h"

typedef struct {
    fm_text_schema *schema;  /* owned; NULL: the records are of a table */
    bool planned;            /* a plan for adapters was offered: */
    fm_adapter_terms terms;  /* its own; else context 0 */
    uint64_t unit_sequences; /* of a unit in a round; 0: not known */
} fm_check_texts;

/**
 * Whether the records are texts: by the schema given (NULL: none), else by the one that node.yaml
 * pins, else by that of the plan last offered.
 * @param config  node.yaml's path. @param out  zeroed; fm_check_texts_fini.
 * @return FM_OK; FM_EPARSE, FM_ENOTFOUND, FM_EIO: a schema or plan.json.
 */
FM_NODISCARD fm_status fm_check_texts_find(const char *config, const fm_node_config *c,
                                           const char *schema, fm_check_texts *out);
void fm_check_texts_fini(fm_check_texts *t);

/**
 * The base model: there, whole in its header, and the plan's if one was offered (its files are
 * hashed for that). Without a plan terms.context becomes what fedmoe-model would choose.
 * @param detail  what was found.
 */
FM_NODISCARD fm_status fm_check_texts_base(const fm_node_config *c, fm_check_texts *t, char *detail,
                                           size_t cap);
/**
 * The texts, as a start would read them.
 * @param unit_sequences  0: as the plan says.
 * @param problems  every one, a line each, when the texts are not as the schema says (FM_EPARSE).
 */
FM_NODISCARD fm_status fm_check_texts_records(const fm_node_config *c, const fm_check_texts *t,
                                              uint64_t unit_sequences, fm_buf *problems,
                                              char *detail, size_t cap);

#endif
