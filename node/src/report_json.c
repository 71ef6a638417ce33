/* The report's figures for programs. */
#include "fedmoe/base/clock.h"
#include "report.h"
#include "run_internal.h"
#include "words.h"

static json_t *part_json(const fm_report_part *p)
{
    char first[32], last[32], hex[2 * FM_HASH_BYTES + 1], mechanism[160];

    fm_clock_format(p->first_s, first, sizeof first);
    fm_clock_format(p->last_s, last, sizeof last);
    fm_hash_hex(&p->plan, hex);
    fm_report_mechanism(&p->mechanism, mechanism);
    return json_pack("{s:s s:s s:s s:s s:s s:I s:f s:f s:s s:s s:o}", "federation", p->federation,
                     "purpose", p->purpose, "plan", hex, "unit", p->unit, "mechanism", mechanism,
                     "releases", (json_int_t)p->mechanism.count, "noise_multiplier",
                     p->mechanism.noise_multiplier, "sampling_rate", p->mechanism.sampling_rate,
                     "first", first, "last", last, "epsilon_alone",
                     p->epsilon < 0.0 ? json_null() : json_real(p->epsilon));
}

static json_t *point_json(const fm_report_point *p)
{
    char when[32];

    fm_clock_format(p->wall_s, when, sizeof when);
    return json_pack("{s:I s:I s:s s:f}", "releases", (json_int_t)p->releases, "sequence",
                     (json_int_t)p->sequence, "time", when, "epsilon", p->epsilon);
}

static json_t *file_json(const fm_report_file *f)
{
    return json_pack("{s:s s:s s:I s:s}", "what", f->what, "path", f->path, "bytes",
                     (json_int_t)f->bytes, "sha256", f->sha256);
}

/** json_array_append_new takes NULL, and says so. */
static fm_status add_lists(const fm_report *r, json_t *parts, json_t *points, json_t *files)
{
    bool ok = true;

    for (size_t i = 0; i < r->part_count; i++)
        ok = ok && json_array_append_new(parts, part_json(&r->parts[i])) == 0;
    for (size_t i = 0; i < r->point_count; i++)
        ok = ok && json_array_append_new(points, point_json(&r->points[i])) == 0;
    for (size_t i = 0; i < r->file_count; i++)
        if (r->files[i].there)
            ok = ok && json_array_append_new(files, file_json(&r->files[i])) == 0;
    return ok ? FM_OK : fm_fail(FM_ENOMEM, "no memory for the report, or a text is not UTF-8");
}

/** When decisions were declared lost: by whom, why, how many were known. */
static json_t *voided_json(const fm_report *r)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < r->voided_count; i++) {
        const fm_journal_voided *v = &r->voided[i];
        char when[32];

        fm_clock_format(v->at_s, when, sizeof when);
        if (json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:s}", "at", when, "decisions",
                                                  (json_int_t)v->count, "by", v->by, "reason",
                                                  v->why)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

fm_status fm_report_json(const fm_report *r, json_t **out)
{
    const fm_node_policy *p = &r->config.policy;
    char made[32], head[2 * FM_HASH_BYTES + 1];
    json_t *parts = json_array(), *points = json_array(), *files = json_array(), *j;
    json_t *decisions = NULL;
    fm_status st = add_lists(r, parts, points, files);

    fm_clock_format(r->made_s, made, sizeof made);
    fm_hash_hex(&r->head, head);
    j = json_pack("{s:s s:s s:s s:s s:b s:I s:s s:I s:f s:f s:f s:f s:f s:f s:f s:O s:O s:O}",
                  "program", "fedmoe-node " FM_VERSION, "made", made, "node", r->config.name,
                  "data_set", r->config.data_set, "chain_verified", 1, "entries",
                  (json_int_t)r->entries, "head", head, "releases", (json_int_t)r->releases,
                  "epsilon_spent", r->spent, "epsilon_budget", p->epsilon, "epsilon_left", r->left,
                  "delta", p->delta, "guess_right_at_most", fm_words_guess(r->spent, p->delta),
                  "posterior_from_half", fm_words_posterior(r->spent, 0.5),
                  "posterior_from_hundredth", fm_words_posterior(r->spent, 0.01), "parts", parts,
                  "points", points, "files", files);
    json_decref(parts);
    json_decref(points);
    json_decref(files);
    if (st == FM_OK && j &&
        (st = fm_decisions_json(&r->decisions, &r->keys, &decisions)) == FM_OK &&
        (json_object_set_new(j, "decisions", decisions) != 0 ||
         json_object_set_new(j, "decisions_void", voided_json(r)) != 0))
        st = fm_fail(FM_ENOMEM, "no memory for the report");
    if (st == FM_OK && !j)
        st = fm_fail(FM_ENOMEM, "no memory for the report, or a text is not UTF-8");
    if (st == FM_OK)
        *out = j;
    else
        json_decref(j);
    return st;
}
