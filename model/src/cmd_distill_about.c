/* distill: what the student's weights say of their teacher, and what both promise together. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd_distill.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/adapter_terms.h"

#define NOT_STATED "not stated"
#define NONE "none"

fm_status fm_cmd_distill_check_source(const fm_cmd_distilling *d)
{
    const bool is_public = fm_text_schema_public(d->texts.texts),
               charged = d->promise.epsilon > 0.0;

    if (is_public && charged)
        return fm_fail(FM_EINVAL,
                       "%s says public: true, and --epsilon is for texts that are private; which "
                       "is it?",
                       d->texts.schema);
    if (!is_public && d->written)
        return fm_fail(FM_EINVAL,
                       "%s does not say public: true: the teacher's texts would begin with words "
                       "of private ones; --generate takes public beginnings",
                       d->texts.schema);
    if (!is_public && !charged)
        return fm_fail(FM_EINVAL,
                       "%s does not say public: true: a student of private texts is charged for "
                       "them, as any training is; give --epsilon, or public texts",
                       d->texts.schema);
    return FM_OK;
}

/* ---- epsilons that add up ---- */

/* What one part promises; both NULL: it says nothing. */
typedef struct {
    const char *epsilon, *delta;
} promise;

/* Sums, by basic composition: of a unit that is in several. */
typedef struct {
    double epsilon, delta;
    bool stated, none;
} sum;

static void add_part(sum *s, promise p)
{
    double epsilon, delta;

    if (!p.epsilon)
        return;
    s->stated = true;
    if (!p.delta || !fm_text_double(p.epsilon, &epsilon) || !fm_text_double(p.delta, &delta) ||
        !(epsilon >= 0.0) || !(delta >= 0.0))
        s->none = true; /* "none", or what no program here has written */
    else {
        s->epsilon += epsilon;
        s->delta += delta;
    }
}

static void write_sum(const sum *s, char epsilon[64], char delta[64])
{
    const char *word = s->none ? NONE : NOT_STATED;

    if (s->stated && !s->none && s->epsilon > 0.0 && s->delta > 0.0) {
        fm_text_up(s->epsilon, epsilon);
        fm_text_up(s->delta, delta);
        return;
    }
    (void)snprintf(epsilon, 64, "%s", word);
    (void)snprintf(delta, 64, "%s", word);
}

static promise of_folder(const fm_decoder_folder *f)
{
    return (promise){ fm_decoder_folder_meta(f, "fedmoe.epsilon"),
                      fm_decoder_folder_meta(f, "fedmoe.delta") };
}

/* ---- files ---- */

static bool owner_only(const char *path)
{
    struct stat info;

    return path && stat(path, &info) == 0 && (info.st_mode & 077) == 0;
}

/* Of a folder the file in it. */
static fm_status adapter_path(const char *path, char **out)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode)
               ? fm_path_join(path, "adapter_model.safetensors", out)
               : fm_strdup(path, out);
}

static fm_status read_adapter(const char *path, fm_safetensors **file, char *hex)
{
    char *whole = NULL;
    fm_status st;

    if ((st = adapter_path(path, &whole)) == FM_OK &&
        (st = fm_safetensors_open(whole, file)) == FM_OK)
        st = fm_hash_file_sha256(whole, hex, NULL);
    free(whole);
    return st;
}

/* ---- all of it ---- */

static void add(fm_cmd_distill_about *a, const char *key, const char *value)
{
    a->meta[a->about.meta_count++] = (fm_safetensors_meta){ key, value };
}

static void describe_source(const fm_cmd_distilling *d, fm_cmd_distill_about *a)
{
    if (d->promise.no_privacy)
        (void)snprintf(a->source, sizeof a->source, "%s; distillation added no epsilon",
                       d->written ? "texts that the teacher wrote, from public beginnings"
                                  : "public texts");
    else
        (void)snprintf(a->source, sizeof a->source,
                       "private texts; distillation added epsilon %s, delta %s", a->promise.epsilon,
                       a->promise.delta);
    add(a, "fedmoe.distilled_from", a->source);
}

/* Where the texts were charged their promise's epsilon and delta become the sums. */
static void describe_promise(const fm_cmd_distilling *d, const sum *all, fm_cmd_distill_about *a)
{
    write_sum(all, a->all_epsilon, a->all_delta);
    if (all->stated) {
        add(a, "fedmoe.epsilon", a->all_epsilon);
        add(a, "fedmoe.delta", a->all_delta);
    }
    if (!d->promise.no_privacy) {
        add(a, "fedmoe.privacy_unit", d->promise.unit);
        add(a, "fedmoe.mechanism", a->promise.mechanism);
    }
}

fm_status fm_cmd_distill_describe(const fm_cmd_distilling *d, fm_cmd_distill_about *a)
{
    fm_safetensors *adapter = NULL;
    fm_adapter_terms terms;
    sum teacher = { 0 }, all;
    fm_status st;

    *a = (fm_cmd_distill_about){ 0 };
    if ((st = fm_adapter_terms_of(d->texts.folder, &terms)) ||
        (d->texts.adapter && (st = read_adapter(d->texts.adapter, &adapter, a->adapter))))
        return st;
    memcpy(a->teacher, terms.base, sizeof a->teacher);
    add_part(&teacher, of_folder(d->texts.folder));
    if (adapter)
        add_part(&teacher, (promise){ fm_safetensors_meta_get(adapter, "fedmoe.epsilon"),
                                      fm_safetensors_meta_get(adapter, "fedmoe.delta") });
    all = teacher;
    if (d->from)
        add_part(&all, of_folder(d->from));
    fm_cmd_promise_write(&d->promise, &d->training, &a->promise);
    if (!d->promise.no_privacy)
        add_part(&all, (promise){ a->promise.epsilon, a->promise.delta });
    write_sum(&teacher, a->epsilon, a->delta);
    a->about.owner_only = all.none || owner_only(d->texts.model) || owner_only(d->texts.adapter) ||
                          (d->from && owner_only(d->student));
    add(a, "fedmoe.teacher", a->teacher);
    if (adapter)
        add(a, "fedmoe.teacher_adapter", a->adapter);
    add(a, "fedmoe.teacher_epsilon", a->epsilon);
    add(a, "fedmoe.teacher_delta", a->delta);
    describe_source(d, a);
    describe_promise(d, &all, a);
    a->about.meta = a->meta;
    fm_safetensors_free(&adapter);
    return FM_OK;
}
