/* Who, what for, which unit, what left, how the budget was spent, what could be learnt. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/model/adapter_terms.h"
#include "report.h"
#include "words.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static long long whole_of(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static void row(fm_html *h, const char *name, const char *text)
{
    fm_html_element(h, "dt", NULL, "%s", name);
    fm_html_element(h, "dd", NULL, "%s", text);
}

static void certificate_row(fm_html *h, const fm_report *r)
{
    const fm_report_certificate *c = &r->own;
    char from[32], until[32], hex[2 * FM_HASH_BYTES + 1];

    fm_html_raw(h, "<dt>Certificate</dt>\n<dd>");
    if (!c->known)
        fm_html_textf(h, "not readable: %s", c->why);
    else {
        fm_report_date(c->info.not_before_s, from);
        fm_report_date(c->info.not_after_s, until);
        fm_hash_hex(&c->info.fingerprint, hex);
        fm_html_textf(h, "%s '%s' of federation '%s', %s, valid from %s to %s%s. Fingerprint ",
                      fm_role_name(c->info.role), c->info.name, c->info.federation,
                      fm_key_type_name(c->type), from, until,
                      r->made_s > c->info.not_after_s ? " (EXPIRED)" : "");
        fm_html_element(h, "code", NULL, "%s", hex);
    }
    fm_html_raw(h, "</dd>\n<dt>Issued by</dt>\n<dd>");
    if (!r->authority.known)
        fm_html_textf(h, "not readable: %s", r->authority.why);
    else {
        fm_hash_hex(&r->authority.info.fingerprint, hex);
        fm_html_textf(h, "the authority of federation '%s'. Fingerprint ",
                      r->authority.info.federation);
        fm_html_element(h, "code", NULL, "%s", hex);
    }
    fm_html_raw(h, "</dd>\n");
}

/** Whether an earlier part has the same text: lists name each once. */
static bool seen_before(const fm_report *r, size_t part, bool purpose)
{
    for (size_t i = 0; i < part; i++)
        if (strcmp(purpose ? r->parts[i].purpose : r->parts[i].federation,
                   purpose ? r->parts[part].purpose : r->parts[part].federation) == 0)
            return true;
    return false;
}

static void used_row(fm_html *h, const fm_report *r, const char *name, bool purpose)
{
    bool any = false;

    fm_html_element(h, "dt", NULL, "%s", name);
    fm_html_raw(h, "<dd>");
    for (size_t i = 0; i < r->part_count; i++)
        if (!seen_before(r, i, purpose)) {
            fm_html_textf(h, "%s%s", any ? "; " : "",
                          purpose ? r->parts[i].purpose : r->parts[i].federation);
            any = true;
        }
    fm_html_raw(h, any ? "</dd>\n" : "none yet</dd>\n");
}

static void write_who(fm_html *h, const fm_report *r)
{
    const fm_node_policy *p = &r->config.policy;
    char key[41];

    fm_html_raw(h, "<section>\n<h2>Who, and what for</h2>\n<dl>\n");
    row(h, "Node", r->config.name);
    row(h, "Data set", r->config.data_set);
    used_row(h, r, "Federations served", false);
    used_row(h, r, "Purposes served", true);
    fm_html_raw(h, "<dt>Purposes allowed</dt>\n<dd>");
    for (size_t i = 0; i < p->purpose_count; i++)
        fm_html_textf(h, "%s%s", i > 0 ? "; " : "", p->purposes[i]);
    fm_html_raw(h, "</dd>\n");
    certificate_row(h, r);
    fm_curve_text(r->config.door_public, key);
    fm_html_raw(h, "<dt>Aggregator</dt>\n<dd>");
    fm_html_textf(h, "%s, known by its key ", r->config.door);
    fm_html_element(h, "code", NULL, "%s", key);
    fm_html_raw(h, "</dd>\n</dl>\n");
    fm_html_element(h, "p", NULL,
                    "The policy of this node allows no sum over fewer than %u institutions to be "
                    "read, and no plan whose guarantee would fail if as many as %u of the others "
                    "collude with the aggregator.",
                    p->min_cohort, p->min_colluders);
    fm_html_raw(h, "</section>\n");
}

static double real_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static fm_words_tail tail_of(const json_t *plan)
{
    return (fm_words_tail){ .load_groups = whole_of(plan, "load_groups"),
                            .load_experts = whole_of(plan, "load_experts"),
                            .load_share = real_of(plan, "load_share"),
                            .clip_quantile = real_of(plan, "clip_quantile"),
                            .clip_share = real_of(plan, "clip_share"),
                            .held_share = real_of(plan, "held_share"),
                            .patience = whole_of(plan, "patience"),
                            .held_bins = whole_of(plan, "held_bins") };
}

/** Numbers of an update that are no parameters. */
static long long tail_values(const fm_words_tail *t)
{
    return t->load_groups * t->load_experts + (t->clip_quantile > 0.0) + (t->patience > 0 ? 2 : 0) +
           2 * t->held_bins;
}

static fm_status add_tail(const json_t *plan, fm_buf *out)
{
    const fm_words_tail tail = tail_of(plan);

    return fm_words_tail_of(out, &tail);
}

/** Whom the last plan protects; of a plan for texts, what it trains before that. */
static fm_status add_unit(const json_t *plan, const char *unit, fm_buf *out)
{
    const fm_words_tail tail = tail_of(plan);
    const long long rows = whole_of(plan, "max_unit_rows");
    const fm_words_adapters a = { .model = text_of(plan, "model"),
                                  .unit = unit,
                                  .values = whole_of(plan, "parameters") - tail_values(&tail),
                                  .word_bits = whole_of(plan, "word_bits"),
                                  .rounds = whole_of(plan, "rounds"),
                                  .unit_sequences = rows };
    fm_status st;

    if (!fm_adapter_terms_is(a.model))
        return fm_words_unit_meaning(out, unit, rows);
    if ((st = fm_words_adapters_of(out, &a)) == FM_OK && (st = fm_buf_append(out, " ", 1)) == FM_OK)
        st = fm_words_texts_unit(out, unit, rows);
    return st;
}

/** The last plan's unit and noise, in words. */
static void write_plan_words(fm_html *h, const fm_report *r, const char *unit)
{
    const fm_words_graph graph = { .density = whole_of(r->plan, "mask_density"),
                                   .nodes = whole_of(r->plan, "max_nodes"),
                                   .quorum = whole_of(r->plan, "quorum"),
                                   .colluders = whole_of(r->plan, "colluders"),
                                   .groups = whole_of(r->plan, "robust_groups") > 0 };
    const fm_words_groups groups = { .groups = whole_of(r->plan, "robust_groups"),
                                     .quorum = whole_of(r->plan, "robust_quorum"),
                                     .colluders = graph.colluders,
                                     .trim = whole_of(r->plan, "robust_trim"),
                                     .mean = text_of(r->plan, "robust_mean"),
                                     .local = strcmp(text_of(r->plan, "noise"), "local") == 0 };
    fm_buf words = { 0 }, noise = { 0 }, added = { 0 };
    fm_status st;

    if ((st = add_unit(r->plan, unit, &words)) == FM_OK &&
        (st = fm_words_noise(&noise, text_of(r->plan, "noise"),
                             graph.groups ? groups.quorum : graph.quorum, graph.colluders)) ==
            FM_OK &&
        (st = fm_words_local(&noise, whole_of(r->plan, "local_steps"), whole_of(r->plan, "rounds"),
                             strcmp(text_of(r->plan, "correction"), "scaffold") == 0)) == FM_OK &&
        (st = fm_words_masks(&noise, &graph)) == FM_OK &&
        (st = fm_words_groups_of(&noise, &groups)) == FM_OK &&
        (st = fm_words_encoding(&added, text_of(r->plan, "encoding"))) == FM_OK &&
        (st = add_tail(r->plan, &added)) == FM_OK) {
        fm_html_element(h, "p", NULL, "%s", (const char *)words.data);
        fm_html_element(h, "p", NULL,
                        "In each round every unit is drawn with probability %g, and what it may "
                        "add to the sum is cut to a fixed length.%s Noise hides what it adds. %s",
                        real_of(r->plan, "sampling_rate"),
                        added.len > 0 ? (const char *)added.data : "", (const char *)noise.data);
    } else if (h->st == FM_OK)
        h->st = st;
    fm_buf_fini(&words);
    fm_buf_fini(&noise);
    fm_buf_fini(&added);
}

static void write_unit(fm_html *h, const fm_report *r)
{
    const char *unit = text_of(r->plan, "privacy_unit"), *hash = text_of(r->plan, "hash");
    bool approved = json_is_true(json_object_get(r->plan, "approved"));

    fm_html_raw(h, "<section>\n<h2>Whom it protects</h2>\n");
    if (!*unit) {
        fm_html_element(h, "p", NULL,
                        "There is no plan.json beside node.yaml: no plan was offered yet, or the "
                        "file was removed. The unit of earlier plans is in the table below, where "
                        "it is known.");
        fm_html_raw(h, "</section>\n");
        return;
    }
    fm_html_raw(h, "<p>");
    fm_html_textf(h, "The plan that was offered last (%s) was ", text_of(r->plan, "offered"));
    if (approved)
        fm_html_text(h, "approved by this node");
    else if (strcmp(text_of(r->plan, "answer"), "waiting") == 0)
        fm_html_text(h, "not answered: it waits for a decision, and nothing has left for it");
    else
        fm_html_textf(h, "refused by this node (%s)", text_of(r->plan, "reason"));
    fm_html_textf(h, ". Its purpose: %s. Its hash: ", text_of(r->plan, "purpose"));
    fm_html_element(h, "code", NULL, "%s", hash);
    fm_html_raw(h, "</p>\n");
    write_plan_words(h, r, unit);
    fm_html_raw(h, "</section>\n");
}

static void write_update_size(fm_html *h, const fm_report *r)
{
    long long words = whole_of(r->plan, "parameters") - whole_of(r->plan, "frozen");
    long long bits = whole_of(r->plan, "word_bits");
    char size[24];

    fm_html_raw(h, "<li>");
    fm_html_text(h, "In each round one masked update");
    if (words > 0 && bits > 0) {
        fm_words_bytes((double)bits / 8.0 * (double)words, size);
        fm_html_textf(h, ": in the last plan %lld numbers of %lld bits, %s", words, bits, size);
    }
    fm_html_text(h, ". Alone it is uniformly random to everybody else; its size does not depend on "
                    "the records. Only the sum over all institutions of a round can be read, and "
                    "noise is in it.");
    fm_html_raw(h, "</li>\n");
}

static void write_left(fm_html *h, const fm_report *r)
{
    char sent[24], received[24];

    fm_html_raw(h, "<section>\n<h2>What left the building</h2>\n<ul>\n");
    write_update_size(h, r);
    fm_html_element(h, "li", NULL,
                    "%llu release%s: the seeds with which such a sum can be read. Each was written "
                    "into the ledger, and onto the disk, before it was sent.",
                    (unsigned long long)r->releases, r->releases == 1 ? "" : "s");
    fm_html_element(h, "li", NULL,
                    "The certificate, signatures over each round, yes or no to plans, and \"this "
                    "node could not do its part\", without figures.");
    if (r->status) {
        fm_words_bytes((double)whole_of(r->status, "bytes_sent"), sent);
        fm_words_bytes((double)whole_of(r->status, "bytes_received"), received);
        fm_html_element(h, "li", NULL,
                        "The program's last run sent %s and received %s, all messages counted "
                        "(state: %s, %s).",
                        sent, received, text_of(r->status, "state"), text_of(r->status, "updated"));
    }
    fm_html_raw(h, "</ul>\n");
    fm_html_element(h, "p", NULL,
                    "No record, no value of a record, no update without its mask and no private "
                    "key is part of any message. Rounds that were given up before the release "
                    "cost nothing: nothing of them can be read.");
    fm_html_raw(h, "</section>\n");
}

static void part_row(fm_html *h, const fm_report *r, size_t i)
{
    const fm_report_part *p = &r->parts[i];
    char first[32], last[32], alone[32], hex[2 * FM_HASH_BYTES + 1];

    fm_report_date(p->first_s, first);
    fm_report_date(p->last_s, last);
    fm_report_number(p->epsilon, alone);
    fm_hash_hex(&p->plan, hex);
    fm_html_raw(h, "<tr>");
    fm_html_element(h, "td", "n", "%zu", i + 1);
    fm_html_raw(h, "<td>");
    fm_html_textf(h, "%s: %s", p->federation, p->purpose);
    fm_html_element(h, "div", "soft small", "plan %.16s%s%s", hex, p->unit[0] ? ", unit " : "",
                    p->unit);
    fm_html_raw(h, "</td>");
    fm_html_element(h, "td", "n", "%llu", (unsigned long long)p->mechanism.count);
    fm_html_element(h, "td", "n", "%.4f", p->mechanism.noise_multiplier);
    fm_html_element(h, "td", "n", "%.6g", p->mechanism.sampling_rate);
    if (strcmp(first, last) == 0)
        fm_html_element(h, "td", NULL, "%s", first);
    else
        fm_html_element(h, "td", NULL, "%s to %s", first, last);
    fm_html_element(h, "td", "n", "%s", alone);
    fm_html_raw(h, "</tr>\n");
}

static void write_parts(fm_html *h, const fm_report *r)
{
    size_t first = r->part_count > FM_REPORT_PARTS ? r->part_count - FM_REPORT_PARTS : 0;
    uint64_t earlier = 0;
    char spent[32];

    for (size_t i = 0; i < first; i++)
        earlier += r->parts[i].mechanism.count;
    fm_html_raw(h, "<div class=\"scroll\">\n<table>\n<caption>");
    fm_html_textf(h,
                  "Epsilon at delta %g. The parts are composed, which is not the same as adding up "
                  "their figures.",
                  r->config.policy.delta);
    fm_html_raw(h, "</caption>\n<tr><th class=\"n\">#</th><th>Federation: purpose</th>"
                   "<th class=\"n\">Releases</th><th class=\"n\">Noise</th>"
                   "<th class=\"n\">Sampling</th><th>First and last</th>"
                   "<th class=\"n\">Epsilon alone</th></tr>\n");
    if (first > 0) {
        fm_html_raw(h, "<tr><td></td><td>");
        fm_html_textf(h, "%zu earlier parts (fedmoe-node report --json lists them)", first);
        fm_html_raw(h, "</td>");
        fm_html_element(h, "td", "n", "%llu", (unsigned long long)earlier);
        fm_html_raw(h, "<td></td><td></td><td></td><td></td></tr>\n");
    }
    for (size_t i = first; i < r->part_count; i++)
        part_row(h, r, i);
    fm_report_number(r->spent, spent);
    fm_html_raw(h, "<tr class=\"sum\"><td></td><td>All together</td>");
    fm_html_element(h, "td", "n", "%llu", (unsigned long long)r->releases);
    fm_html_raw(h, "<td></td><td></td><td></td>");
    fm_html_element(h, "td", "n", "%s", spent);
    fm_html_raw(h, "</tr>\n</table>\n</div>\n");
    fm_html_element(h, "p", "soft small",
                    "Noise: the standard deviation of what hides a unit in the sum, as a multiple "
                    "of the most that a unit can add, at the noise that remains if the tolerated "
                    "number of institutions collude. Sampling: the probability with which a unit "
                    "takes part in a round.");
}

static void write_spending(fm_html *h, const fm_report *r)
{
    fm_html_raw(h, "<section>\n<h2>How the budget was spent</h2>\n");
    if (r->point_count == 0) {
        fm_html_element(h, "p", NULL, "Nothing was released from this data set yet.");
        fm_html_raw(h, "</section>\n");
        return;
    }
    if (isfinite(r->spent)) {
        fm_html_raw(h, "<figure>\n");
        fm_report_plot(h, r);
        fm_html_element(h, "figcaption", NULL,
                        "Each dot is computed from the ledger's entries up to there; between two "
                        "dots the stairs stand at the later one, so they are never too low.%s",
                        fm_report_plot_has_marks(r)
                            ? " Numbers at the top: where a line of the table begins."
                            : "");
        fm_html_raw(h, "</figure>\n");
    }
    write_parts(h, r);
    fm_html_raw(h, "</section>\n");
}

static void posterior_row(fm_html *h, const fm_report *r, double prior)
{
    char now[FM_WORDS_PERCENT], full[FM_WORDS_PERCENT];

    fm_words_percent(fm_words_posterior(r->spent, prior), now);
    fm_words_percent(fm_words_posterior(fmax(r->config.policy.epsilon, r->spent), prior), full);
    fm_html_raw(h, "<tr>");
    fm_html_element(h, "td", "n", "%g%%", 100.0 * prior);
    fm_html_element(h, "td", "n", "%s", now);
    fm_html_element(h, "td", "n", "%s", full);
    fm_html_raw(h, "</tr>\n");
}

static void write_gain(fm_html *h, const fm_report *r)
{
    const fm_node_policy *p = &r->config.policy;
    char guess[FM_WORDS_PERCENT], cap[FM_WORDS_PERCENT];

    fm_words_percent(fm_words_guess(r->spent, p->delta), guess);
    fm_words_percent(fm_words_guess(fmax(p->epsilon, r->spent), p->delta), cap);
    fm_html_raw(h, "<section>\n<h2>What an attacker could gain</h2>\n");
    fm_html_element(h, "p", NULL,
                    "Take an attacker who sees everything that ever left, knows all other records, "
                    "and asks whether one certain unit is among the records. A coin is right in "
                    "50%% of such questions; with all that has left so far, nobody can be right "
                    "in more than %s, and with the whole budget spent in more than %s.",
                    guess, cap);
    fm_html_raw(h, "<div class=\"scroll\">\n<table class=\"few\">\n<caption>");
    fm_html_textf(h,
                  "The most that a suspicion can grow to, whatever it is and whatever else is "
                  "known. The bound may fail with probability %g (delta).",
                  p->delta);
    fm_html_raw(h,
                "</caption>\n<tr><th class=\"n\">Suspicion before</th><th class=\"n\">after what "
                "has left</th><th class=\"n\">after the whole budget</th></tr>\n");
    posterior_row(h, r, 0.5);
    posterior_row(h, r, 0.1);
    posterior_row(h, r, 0.01);
    fm_html_raw(h, "</table>\n</div>\n");
    fm_html_element(h, "p", NULL,
                    "What is true of people in general, with or without this unit's records (\"who "
                    "smokes is more often ill\"), is not limited by this: learning it is the "
                    "purpose.");
    fm_html_raw(h, "</section>\n");
}

static void write_limits(fm_html *h, const fm_report *r)
{
    fm_html_raw(h, "<section>\n<h2>What is not protected</h2>\n<ul>\n");
    fm_html_element(h, "li", NULL, "That this institution takes part, when, and in which plan.");
    fm_html_element(h, "li", NULL,
                    "Statistics of the institution as a whole: a bound per unit does not hide how "
                    "many its patients are, or how ill on average.");
    if (strcmp(text_of(r->plan, "privacy_unit"), "record") == 0)
        fm_html_element(h, "li", NULL,
                        "Who has many records is protected less than who has one: the unit is a "
                        "record, not a person.");
    fm_html_element(h, "li", NULL,
                    "Anything on a machine of this node that others control, and what was given "
                    "away on other ways than through this program.");
    fm_html_element(h, "li", NULL,
                    "Other data sets, and the same records under another name: the ledger adds up "
                    "by the data set's name.");
    fm_html_raw(h, "</ul>\n");
    fm_html_element(h, "p", NULL,
                    "The whole list is in docs/security.md, the proofs are in docs/privacy.md.");
    fm_html_raw(h, "</section>\n");
}

void fm_report_sections(fm_html *h, const fm_report *r)
{
    write_who(h, r);
    write_unit(h, r);
    fm_report_decisions(h, r);
    write_left(h, r);
    write_spending(h, r);
    write_gain(h, r);
    write_limits(h, r);
}
