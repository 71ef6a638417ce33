/* The status page's sections on privacy, quality, transcript and what happened lately. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/text.h"
#include "page_internal.h"

fm_status page_html_privacy(const fm_run *r, fm_buf *out)
{
    const fm_plan *plan = &r->config.plan;
    const uint64_t finished = fm_state_finished(r->state);
    char text[120], so_far[FM_TEXT_UP];
    double epsilon = 0.0;
    fm_status st;

    if ((st = fm_buf_printf(out, "<section aria-labelledby=h-privacy><h2 id=h-privacy>Privacy</h2>"
                                 "<dl id=privacy data-live class=tiles>")) != FM_OK)
        return st;
    (void)snprintf(text, sizeof text, "\xce\xb5 %.4g <small>at \xce\xb4 %.3g</small>",
                   plan->epsilon, plan->delta);
    if ((st = page_pair(out, "The plan allows", text)) != FM_OK)
        return st;
    if (page_epsilon(r->page, finished, &epsilon)) {
        (void)snprintf(so_far, sizeof so_far, "%.3g", epsilon * 1.005);
        (void)snprintf(text, sizeof text, "\xce\xb5 %s%s", epsilon > 0.0 ? "at most " : "",
                       epsilon > 0.0 ? so_far : "0");
    } else {
        (void)snprintf(text, sizeof text, "%s",
                       plan->noise_multiplier > 0.0 ? "being reckoned" : "without privacy");
    }
    if ((st = page_pair(out, "Spent so far", text)) != FM_OK)
        return st;
    (void)snprintf(text, sizeof text, "%.4g <small>clip norm %.4g, rate %.4g</small>",
                   plan->noise_multiplier, plan->clip_norm, plan->sampling_rate);
    if ((st = page_pair(out, "Noise multiplier", text)) != FM_OK)
        return st;
    return fm_buf_printf(
        out,
        "</dl><p>The same for every node: reckoned from the plan and the finished rounds. What "
        "a node has spent in all, in other federations and in rounds that were abandoned after "
        "its release, stands in its own ledger, which is not known here.</section>\n");
}

/* As the console shows it: sums under noise, like all that leaves. */
static fm_status write_answer(const fm_run *r, fm_buf *out)
{
    const fm_hash plan = fm_plan_hash(r->plan.data, r->plan.len);
    const uint64_t finished = fm_state_finished(r->state);
    json_t *answer = NULL;
    char *text = NULL;
    size_t n = 0;
    FILE *f;
    fm_status st;

    if (finished == 0)
        return fm_buf_printf(out, "<p id=answer data-live>None yet: no round has finished.");
    if ((st = fm_directory_answer(&r->config, r->optimizer, finished, &plan, &answer)) != FM_OK)
        return st;
    if (!(f = open_memstream(&text, &n))) {
        json_decref(answer);
        return fm_fail(FM_ENOMEM, "no memory for an answer");
    }
    fm_directory_show_answer(f, answer);
    st = fclose(f) == 0 ? FM_OK : fm_fail(FM_ENOMEM, "no memory for an answer");
    if (st == FM_OK && (st = fm_buf_printf(out, "<pre id=answer data-live tabindex=0>")) == FM_OK &&
        (st = fm_web_escape(out, text)) == FM_OK)
        st = fm_buf_printf(out, "</pre>");
    json_decref(answer);
    free(text);
    return st;
}

/* An empty figure has the place of the one to come. */
static fm_status write_chart(const fm_page *p, fm_status (*chart)(const fm_page *, fm_buf *),
                             const char *id, fm_buf *out)
{
    return p->round_count > 0 ? chart(p, out)
                              : fm_buf_printf(out, "<figure id=fig-%s data-live></figure>\n", id);
}

/* What the units that only judge say, under noise like any update. */
static fm_status write_losses(const fm_run *r, fm_buf *out)
{
    const fm_plan *p = &r->config.plan;
    const double now = p->held_bound * fm_optimizer_held_loss(r->optimizer);
    fm_status st = fm_buf_printf(
        out,
        "<p id=loss data-live>Mean loss on the %g %% of units that are held out, under noise, over "
        "the window of %u rounds under way: <b>%.4g</b>. Training ends early when a window is not "
        "below the one before.%s</p>\n",
        100.0 * p->held_share, p->patience, isnan(now) ? 0.0 : now,
        p->held_bins > 0 ? ""
                         : " AUC is not known here: an evaluation query asks for it, or the "
                           "plan (early_stop: {auc: true}).");

    return st == FM_OK ? write_chart(r->page, page_chart_losses, "losses", out) : st;
}

static fm_status write_aucs(const fm_run *r, fm_buf *out)
{
    fm_auc auc;
    fm_status st;

    if (r->config.plan.held_bins == 0)
        return FM_OK;
    if (fm_optimizer_held_auc(r->optimizer, &auc))
        st = fm_buf_printf(out,
                           "<p id=auc data-live>Their AUC, over the same window: <b>%.3f "
                           "\xc2\xb1 %.2g</b>. Behind \xc2\xb1 is one standard deviation of the "
                           "noise on it: differences of less than two or three say nothing. That "
                           "the units are few comes on top.</p>\n",
                           auc.value, auc.deviation);
    else
        st = fm_buf_printf(out, "<p id=auc data-live>Their AUC: <b>none</b>. In the window under "
                                "way, one of the classes cannot be told from the noise, or there "
                                "is no round yet.</p>\n");
    return st == FM_OK ? write_chart(r->page, page_chart_aucs, "aucs", out) : st;
}

fm_status page_html_quality(const fm_run *r, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<section aria-labelledby=h-quality><h2 id=h-quality>%s</h2>",
                                 r->config.query ? "Answer" : "Loss and AUC");

    if (st == FM_OK && r->config.query)
        st = write_answer(r, out);
    else if (st == FM_OK && r->config.plan.patience > 0)
        st = (st = write_losses(r, out)) == FM_OK ? write_aucs(r, out) : st;
    else if (st == FM_OK)
        st =
            fm_buf_printf(out, "<p>Not known here: updates are sums under noise, and no node "
                               "reports how well the model does on its records. An evaluation "
                               "query asks the nodes for both, and is charged like training. Early "
                               "stopping (early_stop) holds units out, and shows their loss and "
                               "AUC.");
    return st == FM_OK ? fm_buf_printf(out, "</section>\n") : st;
}

fm_status page_html_transcript(const fm_run *r, fm_buf *out)
{
    const fm_hash head = fm_state_head(r->state);
    char hex[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(&head, hex);
    return fm_buf_printf(
        out,
        "<section aria-labelledby=h-head><h2 id=h-head>Transcript</h2><p>Head after "
        "the last finished round; every node that took part has the same.</p><p "
        "class=hex id=head data-live><code>%s</code></section>\n",
        hex);
}

fm_status page_html_events(const fm_page *p, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<section aria-labelledby=h-lately><h2 "
                                      "id=h-lately>Lately</h2><ul id=lately data-live class=log>");

    for (size_t i = p->event_count; st == FM_OK && i > 0; i--) {
        const page_event *e = &p->events[i - 1];

        if ((st = fm_buf_printf(out, "<li>")) == FM_OK && (st = page_time(out, e->at_s)) == FM_OK &&
            (st = fm_buf_printf(out, " ")) == FM_OK)
            st = fm_web_escape(out, e->text);
    }
    return st == FM_OK ? fm_buf_printf(out, "</ul></section>\n") : st;
}
