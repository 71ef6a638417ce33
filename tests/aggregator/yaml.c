#include "yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"

static const char valid[] =
    "name: heart\n"
    "purpose: heart disease risk\n"
    "listen: {door: \"tcp://127.0.0.1:7300\"}\n"
    "model: model.safetensors\n"
    "privacy:\n"
    "  unit: record\n"
    "  epsilon: 1.0\n"
    "  delta: 1.0e-4\n"
    "  clip_norm: 1.0\n"
    "  sampling_rate: 1.0\n"
    "  expected_units: 600\n"
    "  max_units: 2000\n"
    "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}\n"
    "training: {rounds: 40, optimizer: adam, learning_rate: 0.05, momentum: 0.9, beta2: 0.999,\n"
    "           adam_epsilon: 1.0e-3, averaging: 0.5}\n"
    "timeouts: {join_s: 60, round_s: 30}\n";

void yaml_path(char out[PATH_CAP], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_CAP, "%s/%s", dir, name);

    need(n > 0 && n < PATH_CAP, "path");
}

void yaml_write(const char *dir, const char *from, const char *to)
{
    const char *at = from ? strstr(valid, from) : valid;
    size_t cut = from ? strlen(from) : 0;
    char path[PATH_CAP];
    fm_buf text = { 0 };

    need(at != NULL, from);
    need(fm_buf_append(&text, valid, (size_t)(at - valid)) == FM_OK &&
             fm_buf_append(&text, to ? to : "", to ? strlen(to) : 0) == FM_OK &&
             fm_buf_append(&text, at + cut, strlen(at + cut)) == FM_OK,
         "text");
    yaml_path(path, dir, "federation.yaml");
    need(fm_file_replace(path, text.data, text.len, 0644) == FM_OK, path);
    fm_buf_fini(&text);
}

void yaml_write_model(const char *dir, const char *name)
{
    const fm_safetensors_meta meta[] = { { "fedmoe.kind", "tabular-moe" },
                                         { "fedmoe.model", "kind: test\n" },
                                         { "fedmoe.schema", "columns: none\n" },
                                         { "author", "the tests" },
                                         { "fedmoe.epsilon", "7" },
                                         { "fedmoe.clip_norm", "77" } };
    float values[YAML_PARAMETERS];
    const fm_tensor_view tensors[] = {
        { "linear.weight", "F32", 2, { 3, 3 }, (const uint8_t *)values, 9 * sizeof(float) },
        { "b", "F32", 1, { 3 }, (const uint8_t *)(values + 9), 3 * sizeof(float) },
    };
    char path[PATH_CAP];
    fm_buf bytes = { 0 };

    for (size_t i = 0; i < YAML_PARAMETERS; i++)
        values[i] = 0.5f * (float)i - 1.0f;
    need(fm_safetensors_encode(tensors, 2, meta, sizeof meta / sizeof *meta, &bytes) == FM_OK,
         "model");
    yaml_path(path, dir, name);
    need(fm_file_replace(path, bytes.data, bytes.len, 0644) == FM_OK, path);
    fm_buf_fini(&bytes);
}

void yaml_write_center_model(const char *dir, const char *name, float value)
{
    const fm_safetensors_meta meta[] = {
        { "fedmoe.model", "width: 0\nmultipliers:\n  linear: 1\n  bias: 0.25\ncenter: true\n" },
        { "fedmoe.schema", "columns: none\n" },
        { "fedmoe.kind", "tabular-moe" }
    };
    const float values[] = { 1.0f, 2.0f, value, value, value };
    const uint8_t *at = (const uint8_t *)values;
    const fm_tensor_view tensors[] = {
        { "linear.weight", "F32", 2, { 1, 2 }, at, 2 * sizeof(float) },
        { "linear.bias", "F32", 1, { 1 }, at + 2 * sizeof(float), sizeof(float) },
        { "features.center", "F32", 1, { 2 }, at + 3 * sizeof(float), 2 * sizeof(float) },
    };
    char path[PATH_CAP];
    fm_buf bytes = { 0 };

    need(fm_safetensors_encode(tensors, 3, meta, 3, &bytes) == FM_OK, "model");
    yaml_path(path, dir, name);
    need(fm_file_replace(path, bytes.data, bytes.len, 0644) == FM_OK, path);
    fm_buf_fini(&bytes);
}

bool says(const char *words)
{
    if (strstr(fm_error_text(), words))
        return true;
    printf("\n    error text without '%s': %s", words, fm_error_text());
    return false;
}
