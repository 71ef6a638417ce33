/* fedmoe-model: make, look into and use model files; check data against a schema. */
#include "src/cmd.h"

int main(int argc, char **argv)
{
    static const fm_cli_command commands[] = {
        { "new", "make a model for a schema, or a language model", fm_cmd_new },
        { "train", "train a model on one file of records, with privacy", fm_cmd_train },
        { "finetune", "adapt a language model to texts, with privacy", fm_cmd_finetune },
        { "distill", "a small language model that learns from a large one", fm_cmd_distill },
        { "adapter", "a federation's adapter as a folder with PEFT's names", fm_cmd_adapter },
        { "inspect", "show what a model file or folder holds", fm_cmd_inspect },
        { "evaluate", "measure a model on labelled records", fm_cmd_evaluate },
        { "predict", "probabilities for records", fm_cmd_predict },
        { "logits", "what a language model gives each token", fm_cmd_logits },
        { "check", "check records against a schema", fm_cmd_check },
        { "corpus", "count the texts that a language model learns from", fm_cmd_corpus },
        { "tokenize", "text to token ids", fm_cmd_tokenize },
        { "detokenize", "token ids to text", fm_cmd_detokenize },
    };
    static const fm_cli_program program = {
        .program = "fedmoe-model",
        .summary = "Make, look into and use fedmoe's models; no network, no keys.",
        .examples =
            "fedmoe-model check --schema heart_disease.yaml processed.cleveland.data\n"
            "fedmoe-model new --schema heart_disease.yaml --output first.safetensors\n"
            "fedmoe-model train --schema adult.yaml --data train.csv --epsilon 1 --output "
            "adult.safetensors\n"
            "fedmoe-model evaluate --model final.safetensors processed.*.data\n"
            "fedmoe-model predict --model final.safetensors --input new.csv --output risk.csv",
        .commands = commands,
        .command_count = FM_CMD_COUNT(commands),
    };

    return fm_cli_main(&program, argc, argv);
}
