#include "decoder_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64 /* numbers of a row, experts: the models of decoder_small */

typedef struct {
    const fm_decoder_config *c;
    const fm_decoder_layer *l;
    const double *theta;
    size_t length, first; /* rows from `first` on are wanted of this layer */
    bool rounded;         /* angles are float32 */
    double *p;            /* [length] */
} ref;

/* y[out] = W x + b. */
static void linear(const ref *r, size_t weight, size_t bias, const double *x, size_t in, size_t out,
                   double *y)
{
    for (size_t o = 0; o < out; o++) {
        y[o] = bias == FM_DECODER_ABSENT ? 0.0 : r->theta[bias + o];
        for (size_t k = 0; k < in; k++)
            y[o] += r->theta[weight + o * in + k] * x[k];
    }
}

static void norm(const ref *r, size_t gain, double epsilon, const double *x, size_t n, double *y)
{
    double square = 0.0;

    for (size_t k = 0; k < n; k++)
        square += x[k] * x[k];
    for (size_t k = 0; k < n; k++)
        y[k] = r->theta[gain + k] * x[k] / sqrt(square / (double)n + epsilon);
}

static double pair_of(const fm_decoder_rope *p, double pairs, double turns)
{
    return pairs * log(p->original_context / (turns * 6.283185307179586)) / log(p->theta);
}

/* As where such models were trained: 1 / theta^(2 i / n) and its product with the position in
 * float32. Far in a text that is another angle than in double. */
static double rounded_angle(const fm_decoder_rope *p, size_t pairs, size_t i, size_t position)
{
    const float inverse = 1.0f / powf((float)p->theta, (float)(2 * i) / (float)(2 * pairs));

    return (double)((float)position * inverse);
}

static double frequency(const fm_decoder_rope *p, size_t pairs, size_t i)
{
    const double plain = pow(p->theta, -(double)i / (double)pairs);
    double low, high, slow;

    if (p->factor <= 1.0)
        return plain;
    low = fmax(floor(pair_of(p, (double)pairs, p->beta_fast)), 0.0);
    high = fmin(ceil(pair_of(p, (double)pairs, p->beta_slow)), 2.0 * (double)pairs - 1.0);
    high += low == high ? 0.001 : 0.0;
    slow = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
    return plain * (1.0 - slow) + plain / p->factor * slow;
}

static void turn(const ref *r, size_t position, double *x)
{
    const fm_decoder_config *c = r->c;
    const size_t pairs = c->rotary / 2;

    for (size_t i = 0; i < pairs; i++) {
        const double angle = r->rounded ? rounded_angle(&c->rope, pairs, i, position)
                                        : (double)position * frequency(&c->rope, pairs, i);
        double *a = x + (c->rope.interleaved ? 2 * i : i);
        double *b = x + (c->rope.interleaved ? 2 * i + 1 : i + pairs);
        const double was = *a, f = c->rope.attention_factor;

        *a = f * (was * cos(angle) - *b * sin(angle));
        *b = f * (*b * cos(angle) + was * sin(angle));
    }
}

static void clip(const fm_decoder_config *c, double *x, size_t n)
{
    for (size_t k = 0; c->clip_query_key_value > 0.0 && k < n; k++)
        x[k] = fmin(fmax(x[k], -c->clip_query_key_value), c->clip_query_key_value);
}

/* One position's queries, keys and values of all heads. */
typedef struct {
    double q[MOST], k[MOST], v[MOST];
} heads;

static void project(const ref *r, const double *x, size_t position, heads *h)
{
    const fm_decoder_config *c = r->c;
    const fm_decoder_layer *l = r->l;
    const size_t nq = c->heads * c->query_head, nk = c->key_heads * c->query_head;
    const size_t nv = c->key_heads * c->value_head;

    linear(r, l->query, l->query_bias, x, c->width, nq, h->q);
    linear(r, l->key, l->key_bias, x, c->width, nk, h->k);
    linear(r, l->value, l->value_bias, x, c->width, nv, h->v);
    if (c->query_key_norm) {
        norm(r, l->query_norm, c->norm_epsilon, h->q, nq, h->q);
        norm(r, l->key_norm, c->norm_epsilon, h->k, nk, h->k);
    }
    clip(c, h->q, nq);
    clip(c, h->k, nk);
    clip(c, h->v, nv);
    for (size_t i = 0; i < c->heads; i++)
        turn(r, position, h->q + i * c->query_head);
    for (size_t i = 0; i < c->key_heads; i++)
        turn(r, position, h->k + i * c->query_head);
}

static void project_latent(const ref *r, const double *x, size_t position, heads *h)
{
    const fm_decoder_config *c = r->c;
    const fm_decoder_layer *l = r->l;
    const size_t plain = c->query_head - c->rotary, each = plain + c->value_head;
    double a[MOST], b[2 * MOST];

    if (c->query_rank) {
        linear(r, l->query_a, l->query_a_bias, x, c->width, c->query_rank, a);
        norm(r, l->query_a_norm, 1e-6, a, c->query_rank, a);
        linear(r, l->query_b, FM_DECODER_ABSENT, a, c->query_rank, c->heads * c->query_head, h->q);
    } else {
        linear(r, l->query, FM_DECODER_ABSENT, x, c->width, c->heads * c->query_head, h->q);
    }
    linear(r, l->latent, l->latent_bias, x, c->width, c->key_value_rank + c->rotary, a);
    turn(r, position, a + c->key_value_rank);
    norm(r, l->latent_norm, 1e-6, a, c->key_value_rank, a);
    linear(r, l->latent_b, FM_DECODER_ABSENT, a, c->key_value_rank, c->heads * each, b);
    for (size_t i = 0; i < c->heads; i++) {
        turn(r, position, h->q + i * c->query_head + plain);
        memcpy(h->k + i * c->query_head, b + i * each, plain * sizeof *b);
        memcpy(h->k + i * c->query_head + plain, a + c->key_value_rank, c->rotary * sizeof *b);
        memcpy(h->v + i * c->value_head, b + i * each + plain, c->value_head * sizeof *b);
    }
}

/* One head's result for the position `at`. */
static void mix(const ref *r, const heads *h, size_t at, size_t head, double *out)
{
    const fm_decoder_config *c = r->c;
    const size_t group = c->attention == FM_ATTENTION_LATENT ? 1 : c->heads / c->key_heads;
    double *p = r->p, most = -INFINITY, sum = 0.0;

    for (size_t s = 0; s <= at; s++) {
        p[s] = 0.0;
        for (size_t k = 0; k < c->query_head; k++)
            p[s] += h[at].q[head * c->query_head + k] * h[s].k[head / group * c->query_head + k];
        p[s] *= c->attention_scale;
        most = fmax(most, p[s]);
    }
    for (size_t s = 0; s <= at; s++)
        sum += p[s] = exp(p[s] - most);
    for (size_t k = 0; k < c->value_head; k++) {
        out[k] = 0.0;
        for (size_t s = 0; s <= at; s++)
            out[k] += p[s] / sum * h[s].v[head / group * c->value_head + k];
    }
}

static void attend(const ref *r, double (*x)[MOST])
{
    const fm_decoder_config *c = r->c;
    heads *h = calloc(r->length, sizeof *h);
    double n[MOST], mixed[MOST], y[MOST];

    for (size_t i = 0; i < r->length; i++) {
        norm(r, r->l->input_norm, c->norm_epsilon, x[i], c->width, n);
        if (c->attention == FM_ATTENTION_LATENT)
            project_latent(r, n, i, &h[i]);
        else
            project(r, n, i, &h[i]);
    }
    for (size_t i = r->first; i < r->length; i++) {
        for (size_t head = 0; head < c->heads; head++)
            mix(r, h, i, head, mixed + head * c->value_head);
        linear(r, r->l->output, r->l->output_bias, mixed, c->heads * c->value_head, c->width, y);
        for (size_t k = 0; k < c->width; k++)
            x[i][k] += c->residual_multiplier * y[k];
    }
    free(h);
}

/* y += scale * a network of x. */
static void feed(const ref *r, size_t gate, size_t up, size_t down, size_t hidden, const double *x,
                 double scale, double *y)
{
    double g[MOST], u[MOST], out[MOST];

    linear(r, gate, FM_DECODER_ABSENT, x, r->c->width, hidden, g);
    linear(r, up, FM_DECODER_ABSENT, x, r->c->width, hidden, u);
    for (size_t k = 0; k < hidden; k++)
        g[k] = g[k] / (1.0 + exp(-g[k])) * u[k];
    linear(r, down, FM_DECODER_ABSENT, g, hidden, r->c->width, out);
    for (size_t k = 0; k < r->c->width; k++)
        y[k] += scale * out[k];
}

/* Marks the k largest. */
static void best(const double *v, size_t n, size_t k, bool *in)
{
    memset(in, 0, n * sizeof *in);
    for (size_t c = 0; c < k; c++) {
        size_t at = n;

        for (size_t e = 0; e < n; e++)
            if (!in[e] && (at == n || v[e] > v[at]))
                at = e;
        in[at] = true;
    }
}

static void drop_groups(const fm_decoder_config *c, double *v)
{
    const size_t each = c->experts / c->group_count;
    double score[MOST];
    bool in[MOST], two[MOST];

    for (size_t g = 0; g < c->group_count; g++) {
        best(v + g * each, each, c->groups == FM_GROUPS_MAX ? 1 : 2, two);
        score[g] = 0.0;
        for (size_t e = 0; e < each; e++)
            score[g] += two[e] ? v[g * each + e] : 0.0;
    }
    best(score, c->group_count, c->groups_chosen, in);
    for (size_t e = 0; e < c->experts; e++)
        v[e] = in[e / each] ? v[e] : 0.0;
}

/* Each expert's weight, 0 of those not chosen. */
static void route(const ref *r, const double *x, double *weights)
{
    const fm_decoder_config *c = r->c;
    const size_t n = c->experts;
    double s[MOST], choice[MOST], sum = 0.0;
    bool in[MOST];

    linear(r, r->l->router, FM_DECODER_ABSENT, x, c->width, n, s);
    for (size_t e = 0; e < n; e++)
        sum += s[e] = c->router == FM_ROUTER_SIGMOID ? 1.0 / (1.0 + exp(-s[e])) : exp(s[e]);
    for (size_t e = 0; e < n; e++) {
        s[e] /= c->router == FM_ROUTER_SIGMOID ? 1.0 : sum;
        choice[e] = s[e] + (c->correction_bias ? r->theta[r->l->correction + e] : 0.0);
    }
    if (c->groups != FM_GROUPS_NONE)
        drop_groups(c, choice);
    best(choice, n, c->top_k, in);
    sum = 0.0;
    for (size_t e = 0; e < n; e++)
        sum += in[e] ? s[e] : 0.0;
    if (!c->normalise_weights && c->router != FM_ROUTER_SOFTMAX_TOP_K)
        sum = 1.0;
    for (size_t e = 0; e < n; e++)
        weights[e] = in[e] ? c->routed_scale * s[e] / sum : 0.0;
}

static void feed_all(const ref *r, bool dense, double *x)
{
    const fm_decoder_config *c = r->c;
    const fm_decoder_layer *l = r->l;
    const double m = c->residual_multiplier;
    double n[MOST], weights[MOST];

    norm(r, l->post_norm, c->norm_epsilon, x, c->width, n);
    if (dense) {
        feed(r, l->gate, l->up, l->down, c->dense_hidden, n, m, x);
        return;
    }
    route(r, n, weights);
    for (size_t e = 0; e < c->experts; e++)
        if (weights[e] > 0.0)
            feed(r, l->expert_gate + e * l->expert_stride, l->expert_up + e * l->expert_stride,
                 l->expert_down + e * l->expert_stride, c->expert_hidden, n, m * weights[e], x);
    if (c->shared_hidden)
        feed(r, l->shared_gate, l->shared_up, l->shared_down, c->shared_hidden, n, m, x);
}

/* What a position's logits are: float64[V]. */
static void logits_of(const ref *r, const fm_decoder_layout *l, const double *x, double *z)
{
    const fm_decoder_config *c = r->c;
    double n[MOST];

    norm(r, l->norm, c->norm_epsilon, x, c->width, n);
    for (size_t v = 0; v < c->vocabulary; v++) {
        z[v] = 0.0;
        for (size_t k = 0; k < c->width; k++)
            z[v] += r->theta[l->head + v * c->width + k] * n[k];
        z[v] /= c->logits_divisor;
    }
}

static double token_loss(const double *z, size_t n, uint32_t target)
{
    double sum = 0.0;

    for (size_t v = 0; v < n; v++)
        sum += exp(z[v]);
    return log(sum) - z[target];
}

/* Rows [wanted, length) after all layers. */
static void forward(ref *r, const fm_decoder_layout *l, const uint32_t *tokens, size_t wanted,
                    double (*x)[MOST])
{
    const fm_decoder_config *c = r->c;

    r->p = calloc(r->length, sizeof *r->p);
    for (size_t i = 0; i < r->length; i++)
        for (size_t k = 0; k < c->width; k++)
            x[i][k] = c->embedding_multiplier * r->theta[l->embedding + tokens[i] * c->width + k];
    for (size_t n = 0; n < c->layers; n++) {
        r->l = &l->layer[n];
        r->first = n + 1 < c->layers ? 0 : wanted;
        attend(r, x);
        for (size_t i = r->first; i < r->length; i++)
            feed_all(r, n < c->dense_layers, x[i]);
    }
    free(r->p);
}

static double term(double q, double p)
{
    return q > 0.0 ? q * log(q / p) : 0.0;
}

/* KL of the teacher's named tokens and the rest. */
static double divergence(const double *z, size_t n, const fm_decoder_soft *s, size_t row)
{
    double sum = 0.0, named = 0.0, kl = 0.0;

    for (size_t v = 0; v < n; v++)
        sum += exp(z[v] / s->temperature);
    for (size_t k = 0; k < s->most; k++) {
        const double p = exp(z[s->tokens[row * s->most + k]] / s->temperature) / sum;

        kl += term((double)s->chances[row * s->most + k], p);
        named += p;
    }
    return kl + term((double)s->rest[row], 1.0 - named);
}

static double row_loss(const double *z, size_t n, uint32_t target, const fm_decoder_soft *s,
                       size_t row)
{
    if (!s)
        return token_loss(z, n, target);
    return (1.0 - s->share) * token_loss(z, n, target) +
           s->share * s->temperature * s->temperature * divergence(z, n, s, row);
}

double decoder_reference_loss(const fm_decoder_config *c, const fm_decoder_layout *l,
                              const double *theta, const uint32_t *tokens, size_t length)
{
    return decoder_reference_soft_loss(c, l, theta, tokens, length, NULL, 0);
}

double decoder_reference_soft_loss(const fm_decoder_config *c, const fm_decoder_layout *l,
                                   const double *theta, const uint32_t *tokens, size_t length,
                                   const fm_decoder_soft *soft, size_t row)
{
    double(*x)[MOST] = calloc(length, sizeof *x), loss = 0.0;
    double *z = calloc(c->vocabulary, sizeof *z);
    ref r = { .c = c, .theta = theta, .length = length };

    forward(&r, l, tokens, 0, x);
    for (size_t i = 0; i + 1 < length; i++) {
        logits_of(&r, l, x[i], z);
        loss += row_loss(z, c->vocabulary, tokens[i + 1], soft, row + i);
    }
    free(x);
    free(z);
    return length > 1 ? loss / (double)(length - 1) : 0.0;
}

void decoder_reference_last(const fm_decoder_config *c, const fm_decoder_layout *l,
                            const double *theta, const uint32_t *tokens, size_t length, double *out)
{
    double(*x)[MOST] = calloc(length, sizeof *x);
    ref r = { .c = c, .theta = theta, .length = length, .rounded = true };

    forward(&r, l, tokens, length - 1, x);
    logits_of(&r, l, x[length - 1], out);
    free(x);
}
