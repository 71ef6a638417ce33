/* fedmoe-model: make, look into and use model files; check data against a schema. */
#include "src/cmd.h"

int main(int argc, char **argv)
{
    static const fm_cli_command commands[] = {
        { "new", "make a model for a schema, or a language model", fm_cmd_new },
        { "train", "train a model on one file of records, with privacy", fm_cmd_train },
        { "finetune", "adapt a language model to texts, with privacy", fm_cmd_finetune },
        { "fingerprint key", "make the key that fingerprints are drawn from",
          fm_cmd_fingerprint_key },
        { "fingerprint mark", "a copy of a model that carries its recipient's mark",
          fm_cmd_fingerprint_mark },
        { "fingerprint identify", "whose copy a leaked model is", fm_cmd_fingerprint_identify },
        { "distill", "a small language model that learns from a large one", fm_cmd_distill },
        { "adapter", "a federation's adapter as a folder with PEFT's names", fm_cmd_adapter },
        { "inspect", "show what a model file or folder holds", fm_cmd_inspect },
        { "evaluate", "measure a model on labelled records", fm_cmd_evaluate },
        { "predict", "probabilities for records", fm_cmd_predict },
        { "generate", "text from a language model", fm_cmd_generate },
        { "logits", "what a language model gives each token", fm_cmd_logits },
        { "quantize", "a model in 8 bits, in one file", fm_cmd_quantize },
        { "check", "check records against a schema", fm_cmd_check },
        { "corpus", "count the texts that a language model learns from", fm_cmd_corpus },
        { "tokenize", "text to token ids", fm_cmd_tokenize },
        { "detokenize", "token ids to text", fm_cmd_detokenize },
        { "watermark keygen", "make a key for watermarks of text", fm_cmd_watermark_keygen },
        { "watermark detect", "tell whether texts bear a key's watermark",
          fm_cmd_watermark_detect },
    };
    static const fm_cli_program program = {
        .program = "fedmoe-model",
        .rare = "adapter, logits, corpus, tokenize, detokenize",
        .summary = "Make, look into and use fedmoe's models; no network.",
        .examples =
            "fedmoe-model check --schema heart_disease.yaml processed.cleveland.data\n"
            "fedmoe-model new --schema heart_disease.yaml --output first.safetensors\n"
            "fedmoe-model train --schema adult.yaml --data train.csv --epsilon 1 --output "
            "adult.safetensors\n"
            "fedmoe-model evaluate --model final.safetensors processed.*.data\n"
            "fedmoe-model predict --model final.safetensors --input new.csv --output risk.csv",
        .commands = commands,
        .group_examples = "fedmoe-model fingerprint key --output fingerprint.key\n"
                          "fedmoe-model fingerprint mark --key fingerprint.key --recipient "
                          "northgate --model model.safetensors --output for-northgate.safetensors\n"
                          "fedmoe-model fingerprint identify --key fingerprint.key --original "
                          "model.safetensors leaked.safetensors\n"
                          "fedmoe-model watermark keygen --output ward.key\n"
                          "fedmoe-model watermark detect --key ward.key --tokenizer tokenizer.json "
                          "letter.txt note.txt",
        .command_count = FM_CMD_COUNT(commands),
    };

    return fm_cli_main(&program, argc, argv);
}
