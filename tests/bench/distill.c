/*
 * Distillation: a student a tenth the size of its teacher, against the same student trained directly
 * on the same public texts (../shared/data/text).
 *
 * The teacher has read conversations with doctors and many questions to a bank, which are what is
 * private. Public are a few questions to a bank. The task: foretell questions that nobody has seen.
 * Temperature, share and learning rate are chosen on texts that the figures are not of.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/log.h"
#include "fedmoe/train/author.h"
#include "fedmoe/train/run.h"
#include "finetune_texts.h"
#include "fm_test.h"

#define CONTEXT 256
#define BATCH 2048
#define END_TOKEN 256 /* of the byte tokenizer */
#define KEPT ((size_t)1 << 30)

typedef struct {
    uint64_t seeds, from, first, passes, teacher_records, records, written, begin, rounds;
    const char *teacher, *student;
} setting;

static const char bank[] = "name: bank\nsource: csv\ntext: text\nunit: record\n";
static const char ward[] = "name: ward\nsource: csv\ntemplate: \"{dialogue}\\n\\n{section_header}: "
                           "{section_text}\"\nunit: record\n";

/* ---- models ---- */

static fm_decoder *teach(const setting *s, const fm_corpus *first, const fm_corpus *second,
                         uint64_t seed)
{
    const fm_decoder_options o = { .max_tokens = BATCH, .train = FM_TRAIN_ALL };
    const fm_corpus *texts[] = { first, second };
    fm_decoder *d = bench_decoder(s->teacher, seed, &o);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);

    for (size_t i = 0; i < 2; i++) {
        const uint64_t passes = i ? s->passes : 1;
        const uint64_t steps = passes * (texts[i]->starts[texts[i]->sequences] / BATCH + 1);
        bench_adam *adam = NULL;

        for (uint64_t p = 0; p < passes; p++)
            bench_pass(d, texts[i], BATCH, 0.003, steps, &rng, &adam);
        bench_pass_free(&adam);
    }
    return d;
}

/* A way to train a student: on what, and with how much of the teacher. */
typedef struct {
    double share, temperature, rate;
    double rounds; /* of the setting's */
} way;

static double student_loss(const setting *s, const fm_decoder *teacher, const fm_corpus *c,
                           const way *w, uint64_t seed, const fm_corpus *choose,
                           const fm_corpus *test, double *out)
{
    const fm_teaching teaching = { w->share, w->temperature, 64, KEPT };
    const fm_training_case given = { .units = (double)c->sequences, .delta = 1e-5 };
    const fm_decoder_options o = { .max_tokens = 1, .train = FM_TRAIN_ALL };
    fm_decoder *d = bench_decoder(s->student, seed, &o);
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, seed);
    fm_training t;
    fm_train_run_spec spec = { .training = &t,
                               .units = given.units,
                               .max_units = (uint32_t)c->sequences,
                               .unit_rows = 1,
                               .encoding = FM_DP_EXACT,
                               .rng = &rng };
    fm_teacher *lessons = NULL;
    float *weights;
    double chosen;
    size_t n;

    fm_training_student_defaults(&given, &t);
    t.learning_rate = w->rate > 0.0 ? w->rate : t.learning_rate;
    t.rounds = (uint64_t)ceil(w->rounds * (double)s->rounds);
    if (w->share > 0.0)
        bench_need(fm_teacher_new(teacher, c, &teaching, &lessons));
    spec.learner = lessons ? fm_learner_taught(d, c, lessons) : fm_learner_decoder(d, c);
    bench_need(fm_train_run_length(&spec, &n));
    weights = calloc(n, sizeof *weights);
    bench_need(fm_learner_decoder_get(&spec.learner, weights, n));
    spec.weights = weights;
    bench_need(fm_train_run(&spec, weights, n, NULL));
    bench_need(fm_learner_decoder_set(&spec.learner, weights, n));
    chosen = bench_loss(d, choose);
    *out = bench_loss(d, test);
    fm_teacher_free(&lessons);
    fm_decoder_free(&d);
    free(weights);
    return chosen;
}

/* ---- what is compared ---- */

static const way direct[] = {
    { 0.0, 1.0, 0.005, 1.0 },
    { 0.0, 1.0, 0.01, 1.0 },
};
static const way distilled[] = {
    { 1.0, 1.0, 0.01, 1.0 },
    { 0.7, 1.0, 0.01, 1.0 },
};

static double best_of(const setting *s, const char *name, const fm_decoder *teacher,
                      const fm_corpus *c, const way *ways, size_t count, uint64_t seed,
                      const fm_corpus *choose, const fm_corpus *test)
{
    double best = INFINITY, loss = INFINITY;
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        double tested = 0.0;
        const double chosen = student_loss(s, teacher, c, &ways[i], seed, choose, test, &tested);

        printf("      share %g, temperature %g, rate %g, %.0f rounds: choosing %.4f\n",
               ways[i].share, ways[i].temperature, ways[i].rate,
               ceil(ways[i].rounds * (double)s->rounds), chosen);
        fflush(stdout);
        if (chosen < best) {
            best = chosen;
            loss = tested;
            at = i;
        }
    }
    printf("    %-44s loss %.4f (share %g, temperature %g, rate %g)\n", name, loss, ways[at].share,
           ways[at].temperature, ways[at].rate);
    fflush(stdout);
    return loss;
}

static size_t parameters(const char *preset)
{
    const fm_decoder_options o = { .max_tokens = 1 };
    fm_decoder *d = bench_decoder(preset, 1, &o);
    const size_t n = fm_decoder_get_layout(d)->parameters;

    fm_decoder_free(&d);
    return n;
}

#define WAYS 4

static void one_seed(const setting *s, const fm_corpus *first, const fm_corpus *other,
                     uint64_t seed, double *sums)
{
    const fm_authoring writing = { .texts = (size_t)s->written,
                                   .begin = (size_t)s->begin,
                                   .longest = 128,
                                   .temperature = 1.0,
                                   .end_token = END_TOKEN,
                                   .seed = 1000 * seed };
    const size_t at = (size_t)s->teacher_records, n = (size_t)s->records;
    fm_corpus ward_texts, private, public, choose, test, *written = NULL;
    fm_decoder *teacher;
    double losses[WAYS];

    bench_choose(first, seed, 0, (size_t)s->first, &ward_texts);
    bench_choose(other, seed, 0, at, &private);
    bench_choose(other, seed, at, n, &public);
    bench_choose(other, seed, at + n, 300, &choose);
    bench_choose(other, seed, at + n + 300, 1000, &test);
    teacher = teach(s, &ward_texts, &private, seed);
    losses[0] = bench_loss(teacher, &test);
    printf("  seed %llu\n    %-44s loss %.4f\n", (unsigned long long)seed, "teacher", losses[0]);
    losses[1] = best_of(s, "student, directly on public texts", teacher, &public, direct,
                        sizeof direct / sizeof *direct, seed, &choose, &test);
    losses[2] = best_of(s, "student, distilled on public texts", teacher, &public, distilled,
                        sizeof distilled / sizeof *distilled, seed, &choose, &test);
    bench_need(fm_train_compose(teacher, &public, &writing, &written));
    losses[3] = best_of(s, "student, distilled on the teacher's texts", teacher, written, distilled,
                        sizeof distilled / sizeof *distilled, seed, &choose, &test);
    for (size_t i = 0; i < WAYS; i++)
        sums[i] += losses[i] / (double)s->seeds;
    fm_corpus_free(&written);
    bench_chosen_free(&ward_texts);
    bench_chosen_free(&private);
    bench_chosen_free(&public);
    bench_chosen_free(&choose);
    bench_chosen_free(&test);
    fm_decoder_free(&teacher);
}

int main(int argc, char **argv)
{
    setting s = { .seeds = 2,
                  .from = 1,
                  .first = 2000,
                  .passes = 3,
                  .teacher_records = 6000,
                  .records = 500,
                  .written = 2000,
                  .begin = 4,
                  .rounds = 300,
                  .teacher = "lite-tiny",
                  .student = "lite-nano" };
    const fm_cli_option options[] = {
        { "seeds", FM_CLI_U64, &s.seeds, "N", "how often (default 2)", false, 1, 100 },
        { "from", FM_CLI_U64, &s.from, "N", "the first seed (default 1)", false, 1, 100 },
        { "first", FM_CLI_U64, &s.first, "N",
          "sequences of doctors that the teacher reads before (default 2000)", false, 1, 100000 },
        { "passes", FM_CLI_U64, &s.passes, "N", "of the teacher (default 3)", false, 1, 100 },
        { "private", FM_CLI_U64, &s.teacher_records, "N", "texts of the teacher (default 6000)",
          false, 1, 8000 },
        { "public", FM_CLI_U64, &s.records, "N", "texts of the student (default 500)", false, 1,
          2000 },
        { "written", FM_CLI_U64, &s.written, "N", "texts by the teacher (default 2000)", false, 1,
          100000 },
        { "begin", FM_CLI_U64, &s.begin, "N", "public tokens each begins with (default 4)", false,
          1, 64 },
        { "rounds", FM_CLI_U64, &s.rounds, "N", "of a student (default 300)", false, 1, 100000 },
        { "teacher", FM_CLI_STRING, &s.teacher, "NAME", "preset (default lite-tiny)", false, 0, 0 },
        { "student", FM_CLI_STRING, &s.student, "NAME", "preset (default lite-nano)", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-distill",
                               .summary = "A distilled student against one trained directly.",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    fm_corpus *first = NULL, *other = NULL;
    double sums[WAYS] = { 0 };
    int operand, code;

    if (!fm_cli_begin(&spec, argc, argv, &operand, &code))
        return code;
    fm_log_set_level(FM_LOG_ERROR);
    if (!bench_texts("mts_dialog/MTS-Dialog-TrainingSet.csv", ward, CONTEXT, &first) ||
        !bench_texts("banking77/train.csv", bank, CONTEXT, &other)) {
        printf("no ../shared/data/text: skipped\n");
        return 77;
    }
    printf("teacher %s, %zu parameters; student %s, %zu; %llu private and %llu public texts\n",
           s.teacher, parameters(s.teacher), s.student, parameters(s.student),
           (unsigned long long)s.teacher_records, (unsigned long long)s.records);
    for (uint64_t seed = s.from; seed < s.from + s.seeds; seed++)
        one_seed(&s, first, other, seed, sums);
    printf("mean over %llu seeds: teacher %.4f, directly %.4f, distilled on public texts %.4f, on "
           "the teacher's %.4f\n",
           (unsigned long long)s.seeds, sums[0], sums[1], sums[2], sums[3]);
    fm_corpus_free(&first);
    fm_corpus_free(&other);
    return 0;
}
