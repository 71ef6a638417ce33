#ifndef FEDMOE_MODEL_PREDICT_INTERNAL_H
#define FEDMOE_MODEL_PREDICT_INTERNAL_H

#include "fedmoe/model/predict.h"
#include "fedmoe/model/tabular.h"
#include "table_internal.h"

/* predict_format.c: text of numbers and cells. */
/** v as printf's %.9g has it, the same bytes; not terminated. @param out room for 24. */
size_t fm_format_number(double v, char out[24]);
/** One cell, in quotes when it must be. */
FM_NODISCARD fm_status fm_format_cell(fm_buf *out, const char *text, size_t len, char delimiter);
/** The first line. @param id NULL or the column's name. */
FM_NODISCARD fm_status fm_format_header(fm_buf *out, const fm_schema *s, const char *id,
                                        bool lines);
/** What follows identifier and line, with the line end. @param outputs the record's, of the model.
 *  FM_ENONFINITE. @param scratch room for one double for each output. */
FM_NODISCARD fm_status fm_format_prediction(fm_buf *out, const fm_schema *s, const float *outputs,
                                            bool logits, double *scratch);

#endif
