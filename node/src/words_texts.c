/* What a plan for adapters of a language model trains, and whose texts count how much. */
#include <string.h>

#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/proto/plan.h"
#include "words.h"

static fm_status say_terms(fm_buf *out, const fm_words_adapters *a)
{
    fm_adapter_terms t;
    char up[24], down[24];
    fm_status st;

    if (fm_adapter_terms_parse("the plan's model", a->model, &t) != FM_OK)
        return fm_buf_printf(out, "Adapters of a language model are to be trained, but what the "
                                  "plan says of them cannot be read. ");
    fm_words_bytes((double)a->word_bits / 8.0 * (double)a->values, up);
    fm_words_bytes(4.0 * (double)a->values, down);
    st =
        fm_buf_printf(out,
                      "All institutions adapt one language model, which each has already and which "
                      "does not change: the base with hash %s. Trained are adapters of rank %zu on "
                      "its modules %s: %lld numbers, in each round %s out and %s in. ",
                      t.base, t.rank, t.modules, a->values, up, down);
    if (st != FM_OK)
        return st;
    return fm_buf_printf(
        out,
        "The privacy unit is %s; in a round at most %lld sequence%s of at most %zu "
        "tokens of one unit count. ",
        a->unit, a->unit_sequences, a->unit_sequences == 1 ? "" : "s", t.context);
}

fm_status fm_words_adapters_of(fm_buf *out, const fm_words_adapters *a)
{
    fm_status st = say_terms(out, a);

    if (st != FM_OK)
        return st;
    return fm_buf_printf(out,
                         "There are %lld finished round%s. Texts, and what each institution "
                         "computes on them, stay with it; only sums over several are read.",
                         a->rounds, a->rounds == 1 ? "" : "s");
}

fm_status fm_words_texts_unit(fm_buf *out, const char *unit, long long max_sequences)
{
    if (strcmp(unit, FM_UNIT_RECORD) == 0)
        return fm_buf_printf(out, "The protected unit is one record, that is one document; of a "
                                  "long one a round takes one sequence, drawn by chance. A person "
                                  "with k documents is protected about k times less: for that "
                                  "person, count with k times epsilon and a larger delta.");
    return fm_buf_printf(
        out,
        "The protected unit is the whole of all texts with the same %s: they are "
        "drawn together and clipped as one, so who has many texts is hidden as "
        "well as who has one. At most %lld sequences of one unit count in a round, "
        "drawn by chance; the rest is left out of it.",
        unit, max_sequences);
}
