/* Texts and models of bench-finetune. */
#ifndef FEDMOE_BENCH_FINETUNE_TEXTS_H
#define FEDMOE_BENCH_FINETUNE_TEXTS_H

#include "fedmoe/model/corpus.h"
#include "fedmoe/model/decoder_adapter.h"

/** Maps that have adapters by default with privacy: attention and shared expert. */
#define BENCH_DEFAULT_MAPS ((FM_ADAPT_ALL) & ~(unsigned)(FM_ADAPT_EXPERTS | FM_ADAPT_DENSE))

void bench_need(fm_status st);

/** Each record of a CSV file of ../shared/data/text a text of bytes, cut at `context` tokens.
 *  @return false: it is not there. */
bool bench_texts(const char *file, const char *schema, size_t context, fm_corpus **out);
/** `count` sequences of it from `first` on of an order by seed (they wrap around). */
void bench_choose(const fm_corpus *from, uint64_t seed, size_t first, size_t count, fm_corpus *out);
void bench_chosen_free(fm_corpus *c);

/** A decoder of a preset with a token for each byte and one for the end, and its first weights. */
fm_decoder *bench_decoder(const char *preset, uint64_t seed, const fm_decoder_options *o);

/** A new folder: the decoder as base/, the texts as train.csv and test.csv (column text), and
 *  schema.yaml for them. */
void bench_write(const fm_decoder *d, const char *preset, const fm_corpus *train,
                 const fm_corpus *test, const char *folder);

/** Mean loss of texts. */
double bench_loss(const fm_decoder *d, const fm_corpus *c);

/** One pass over the texts without privacy, a step for each batch of so many tokens: float sums,
 *  Adam. `state` NULL at first; bench_pass_free. */
typedef struct bench_adam bench_adam;
void bench_pass(fm_decoder *d, const fm_corpus *c, size_t tokens, double rate, uint64_t steps,
                fm_rng *rng, bench_adam **state);
void bench_pass_free(bench_adam **state);

#endif
