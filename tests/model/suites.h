#ifndef FEDMOE_TESTS_MODEL_SUITES_H
#define FEDMOE_TESTS_MODEL_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_config, suite_csv, suite_dialect, suite_docs, suite_file,
    suite_gradient, suite_heart, suite_isolation, suite_kernel, suite_kernel_elements, suite_memory,
    suite_metrics, suite_metrics_range, suite_mlp, suite_odds, suite_predict, suite_program,
    suite_routing, suite_schema, suite_schema_kinds, suite_table, suite_table_raw,
    suite_table_store, suite_table_unit, suite_units, suite_decoder, suite_decoder_adapters,
    suite_decoder_isolation, suite_decoder_square, suite_attention, suite_decoder_fixtures,
    suite_tape;
extern const fm_test_suite suite_decoder_folder, suite_decoder_json, suite_decoder_plan,
    suite_decoder_peft, suite_decoder_shards, suite_decoder_soft, suite_adapter_terms,
    suite_adapter_write;
extern const fm_test_suite suite_draft, suite_survey;
extern const fm_test_suite suite_corpus, suite_corpus_csv, suite_corpus_data, suite_corpus_fhir,
    suite_corpus_ndjson, suite_text_schema;
extern const fm_test_suite suite_tokenizer, suite_tokenizer_file, suite_tokenizer_normal,
    suite_tokenizer_split;

#endif
