/* A federation.yaml and the model beside it, for the tests of config, init and export. */
#ifndef FEDMOE_TESTS_AGGREGATOR_YAML_H
#define FEDMOE_TESTS_AGGREGATOR_YAML_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_CAP 512
#define YAML_PARAMETERS 12

/** dir/model.safetensors: tensors a [3, 3] and b [3], with fedmoe's metadata. */
void yaml_write_model(const char *dir, const char *name);
/** The same with what a statistics round needs: linear.weight [2], linear.bias [1], features.center
 *  [2], and a multiplier of 0.25 in the configuration. @param value  of bias and center. */
void yaml_write_center_model(const char *dir, const char *name, float value);
/** dir/federation.yaml: the valid one, with `from` (must be in it) replaced by `to`; both NULL:
 *  as it is. */
void yaml_write(const char *dir, const char *from, const char *to);
void yaml_path(char out[PATH_CAP], const char *dir, const char *name);
/** Whether the error text of the last failure has the words; prints it when not. */
bool says(const char *words);

#endif
