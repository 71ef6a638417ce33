/* generate: text from a language model. */
#include "cmd_generate.h"

static fm_status check(const fm_cmd_generate_request *r)
{
    const int given = (r->prompt != NULL) + (r->prompt_file != NULL) + (r->tokens != NULL);

    if (given != 1)
        return fm_fail(FM_EINVAL, "what to begin with: one of --prompt, --prompt-file, --tokens");
    if (r->temperature == 0.0 && (r->top_k || r->top_p < 1.0))
        return fm_fail(FM_EINVAL, "--temperature 0 takes the most likely token: --top-k and "
                                  "--top-p have no part in it");
    return FM_OK;
}

/* What was begun is recorded, however it ended. */
static fm_status answer(const fm_cmd_generate_request *r, fm_cmd_policy *policy,
                        fm_cmd_generation *g)
{
    const fm_status st = fm_cmd_generate_run(r, g);
    const fm_status recorded = fm_cmd_policy_end(policy, r, g);

    return st ? st : recorded;
}

static fm_status run(const fm_cmd_generate_request *r)
{
    fm_cmd_generation g = { 0 };
    fm_cmd_policy *policy = NULL;
    fm_status st = check(r);

    if (!st)
        st = fm_cmd_policy_begin(r, &policy);
    if (!st && r->watermark_key)
        st = fm_watermark_load(r->watermark_key, &g.mark);
    if (!st && !(st = fm_edge_model_open(r->model, &g.model))) {
        g.tokenizer = fm_edge_model_tokenizer(g.model);
        if (!(st = fm_cmd_generate_prompt(r, &g)) && !(st = fm_cmd_policy_prompt(policy, &g)))
            st = answer(r, policy, &g);
    }
    fm_cmd_policy_free(&policy);
    fm_watermark_free(&g.mark);
    fm_token_list_fini(&g.text);
    fm_edge_model_free(&g.model);
    return st;
}

int fm_cmd_generate(int argc, char **argv)
{
    static const char program[] = "fedmoe-model generate";
    fm_cmd_generate_request r = {
        .most = 256, .temperature = 1.0, .top_p = 1.0, .cache = "int8", .seed = FM_GENERATE_NO_SEED
    };
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &r.model, "PATH",
          "a file of quantize, or a folder of a language model", true, 0, 0 },
        { "prompt", FM_CLI_STRING, &r.prompt, "TEXT",
          "what to go on from; others may see it in the list of processes", false, 0, 0 },
        { "prompt-file", FM_CLI_STRING, &r.prompt_file, "FILE",
          "a text to go on from (/dev/stdin: standard input)", false, 0, 0 },
        { "tokens", FM_CLI_STRING, &r.tokens, "N,N,...", "token ids to go on from", false, 0, 0 },
        { "max-tokens", FM_CLI_U64, &r.most, "N", "to write at most (default 256)", false, 1,
          1 << 24 },
        { "temperature", FM_CLI_DOUBLE, &r.temperature, "T",
          "0: the most likely token; else chances sharpened (below 1) or evened out (default 1)",
          false, 0, 100 },
        { "top-k", FM_CLI_U64, &r.top_k, "N", "draw from the N likeliest tokens (default: all)",
          false, 1, 1 << 22 },
        { "top-p", FM_CLI_DOUBLE, &r.top_p, "P",
          "draw from the likeliest tokens that together have a chance of P (default 1: all)", false,
          1e-6, 1 },
        { "seed", FM_CLI_U64, &r.seed, "N",
          "repeat the same draws (default: the system's generator)", false, 0, 9e15 },
        { "watermark-key", FM_CLI_STRING, &r.watermark_key, "FILE",
          "draw with the watermark of this key (fedmoe-model watermark keygen)", false, 0, 0 },
        { "end-token", FM_CLI_STRING, &r.end_token, "TOKEN",
          "what ends the text (default: the tokenizer's <|endoftext|> or its like)", false, 0, 0 },
        { "memory", FM_CLI_STRING, &r.memory, "SIZE",
          "keep to so much memory, as 500M or 2G (files of quantize only)", false, 0, 0 },
        { "context", FM_CLI_U64, &r.context, "N",
          "room for so many tokens (default: as many as are needed)", false, 1, 1 << 24 },
        { "cache", FM_CLI_STRING, &r.cache, "KIND",
          "what is kept of the text: int8 (default) or float", false, 0, 0 },
        { "float-inputs", FM_CLI_FLAG, &r.float_inputs, NULL,
          "only weights are in 8 bits: slower, and nearer to the model in float32", false, 0, 0 },
        { "acknowledge-policy", FM_CLI_STRING, &r.acknowledge, "HASH|FILE",
          "the use policy of the model's card was read: once for each policy", false, 0, 0 },
        { "purpose", FM_CLI_STRING, &r.purpose, "TEXT",
          "what for: one of those that the model's card allows", false, 0, 0 },
        { "log", FM_CLI_STRING, &r.log, "FILE",
          "of requests to it (default: requests.log in ~/.config/fedmoe)", false, 0, 0 },
        { "json", FM_CLI_FLAG, &r.json, NULL, "text, tokens and figures as JSON, at the end", false,
          0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .rare = "tokens, top-k, top-p, seed, end-token, context, cache, float-inputs, log",
        .summary = "Write on from a text with a language model.",
        .examples = "fedmoe-model generate --model ward.safetensors --prompt 'Discharge summary:'\n"
                    "fedmoe-model generate --model ward.safetensors --prompt-file note.txt "
                    "--memory 500M --temperature 0.7 --top-p 0.9 --max-tokens 400\n"
                    "fedmoe-model generate --model base --tokens 1,2,3 --temperature 0 --json",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return run(&r) ? fm_cli_failed(program) : 0;
}
