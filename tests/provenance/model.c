#include "model.h"

#include <stdlib.h>
#include <string.h>

void model_card(fm_card *c, int64_t when_s)
{
    static const char policy[] =
        "allowed: [teaching]\nprohibited: [{use: 'pricing \"by\" risk', reason: 'a \\ reason'}]\n";

    memset(c, 0, sizeof *c);
    memcpy(c->federation, "heart", 6);
    memcpy(c->signer, "hub", 4);
    c->signed_s = when_s;
    memset(c->plan.bytes, 0xab, sizeof c->plan.bytes);
    memset(c->head.bytes, 0x17, sizeof c->head.bytes);
    c->rounds = 40;
    memcpy(c->epsilon, "1.5", 4);
    memcpy(c->delta, "1e-05", 6);
    memcpy(c->unit, "patient", 8);
    memset(c->base, 'c', sizeof c->base - 1);
    need(fm_use_policy_parse("policy", policy, sizeof policy - 1, &c->policy) == FM_OK &&
             fm_use_policy_allow(&c->policy, "heart disease risk") == FM_OK,
         "policy");
}

void model_make(model *m)
{
    *m = (model){ .weights = { 1, 2, 3, 4, 5, 6 }, .bias = { -1, 1 } };
    m->tensors[0] = (fm_tensor_view){ .name = "linear.weight",
                                      .dtype = "F32",
                                      .dims = 2,
                                      .shape = { 2, 3 },
                                      .data = (const uint8_t *)m->weights,
                                      .bytes = sizeof m->weights };
    m->tensors[1] = (fm_tensor_view){ .name = "linear.bias",
                                      .dtype = "F32",
                                      .dims = 1,
                                      .shape = { 2 },
                                      .data = (const uint8_t *)m->bias,
                                      .bytes = sizeof m->bias };
    m->meta[0] = (fm_safetensors_meta){ "fedmoe.schema", "columns: none\n" };
    m->meta[1] = (fm_safetensors_meta){ "author", "the tests" };
    m->meta_count = 2;
}

void model_sign(model *m, const fm_identity *id, int64_t when_s)
{
    const fm_card_subject s = { m->tensors, 2, m->meta, m->meta_count };
    fm_card c;

    model_card(&c, when_s);
    need(fm_card_sign(id, &s, &c, &m->texts) == FM_OK, "sign");
    fm_card_signed_meta(&m->texts, m->meta + m->meta_count);
    m->meta_count += FM_CARD_META;
    fm_card_fini(&c);
}

void model_bytes(const model *m, fm_buf *out)
{
    memset(out, 0, sizeof *out);
    need(fm_safetensors_encode(m->tensors, 2, m->meta, m->meta_count, out) == FM_OK, "encode");
}

fm_safetensors *model_file(const model *m)
{
    fm_safetensors *s = NULL;
    fm_buf bytes;

    model_bytes(m, &bytes);
    need(fm_safetensors_parse("model", bytes.data, bytes.len, &s) == FM_OK, "parse");
    fm_buf_fini(&bytes);
    return s;
}

bool model_save(const model *m, const char *path)
{
    return fm_safetensors_replace(path, 0600, m->tensors, 2, m->meta, m->meta_count) == FM_OK;
}

void model_end(model *m)
{
    fm_card_signed_fini(&m->texts);
}
