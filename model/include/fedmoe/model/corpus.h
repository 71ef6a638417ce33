/*
 * Texts as tokens: documents in sequences of at most the context, grouped into units of privacy.
 *
 * A document is a record's text. Its ids, with the tokenizer's end token behind them, are cut into
 * sequences of `context` tokens and a rest; all of them belong to the unit of the record. A rest of
 * one token says nothing (there is nothing to predict) and is left out.
 *
 * A corpus never changes once made: several threads may read one.
 */
#ifndef FEDMOE_MODEL_CORPUS_H
#define FEDMOE_MODEL_CORPUS_H

#include "fedmoe/model/tokenizer.h"

typedef struct {
    uint32_t *tokens; /* of all sequences, one after the other; owned */
    uint64_t *starts; /* [sequences + 1] where in tokens each begins; owned */
    size_t sequences;
    size_t longest; /* tokens of the longest sequence */
    size_t documents;
    size_t empty; /* documents that gave no sequence */
    /* As in fm_table: with groups, the sequences of a unit lie one after the other. */
    size_t
        *unit_start; /* [units + 1] first sequence of each; owned; NULL: each record is a unit and
                           has one sequence */
    size_t units;
} fm_corpus;

void fm_corpus_free(fm_corpus **c); /* wipes */

#endif
