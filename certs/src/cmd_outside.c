/* fedmoe-certs request, install: certificates that another PKI issues. docs/pki.md */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/certs/enrol.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int run_request(const char *dir, const char *role, const char *type, fm_request_plan *plan)
{
    static const char program[] = "fedmoe-certs request";
    char *path = NULL;

    if (fm_role_parse(role, &plan->role) != FM_OK || fm_name_check(plan->name) != FM_OK ||
        fm_name_check(plan->federation) != FM_OK || fm_key_type_parse(type, &plan->type) != FM_OK)
        return fm_certs_bad_usage(program);
    if (fm_request_write(dir, plan, &path) != FM_OK)
        return fm_cli_failed(program);
    printf("the request is %s; give it to your PKI, with docs/pki.md\n"
           "The key stays where it is; next: fedmoe-certs install --directory %s\n",
           path, dir);
    free(path);
    return 0;
}

int fm_certs_request(int argc, char **argv)
{
    const char *dir = NULL, *role = "node", *type = "p256";
    fm_request_plan plan = { 0 };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "the identity's folder", true, 0, 0 },
        { "federation", FM_CLI_STRING, &plan.federation, "NAME", "the federation", true, 0, 0 },
        { "name", FM_CLI_STRING, &plan.name, "NAME", "the member: a-z, 0-9 and -", true, 0, 0 },
        { "role", FM_CLI_STRING, &role, "ROLE", "node (default) or aggregator", false, 0, 0 },
        { "key", FM_CLI_STRING, &plan.key_uri, "URI",
          "a key in a token (pkcs11:token=...;object=...?module-path=...), made there if it is not",
          false, 0, 0 },
        { "key-type", FM_CLI_STRING, &type, "TYPE", "p256 (default) or ed25519", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-certs request",
        .summary = "Make a key, which stays in the folder (or in a token), and a request (PKCS "
                   "#10) for its "
                   "certificate: for a PKI that is there already. Given again, the command asks "
                   "for the same key.",
        .examples = "fedmoe-certs request --directory hospital-a --federation heart-study "
                    "--name hospital-a\n"
                    "fedmoe-certs request --directory hospital-a --federation heart-study "
                    "--name hospital-a --key 'pkcs11:token=t;object=a"
                    "?module-path=/lib/x.so&pin-source=file:pin'",
        .options = options,
        .option_count = COUNT(options),
    };
    int first = 0, code;

    return fm_cli_begin(&spec, argc, argv, &first, &code) ? run_request(dir, role, type, &plan)
                                                          : code;
}

static int say_installed(const char *dir)
{
    static const char program[] = "fedmoe-certs install";
    fm_identity *id = NULL;
    fm_trust *t = NULL;
    char end[32], ca[2 * FM_HASH_BYTES + 1];
    fm_hash h;
    int code = 0;

    if (fm_identity_load(dir, &id) == FM_OK && fm_trust_load(dir, &t) == FM_OK) {
        h = fm_trust_fingerprint(t);
        fm_hash_hex(&h, ca);
        fm_clock_format(fm_identity_info(id)->not_after_s, end, sizeof end);
        printf("%s is the identity of %s '%s' of '%s' until %s\n"
               "CA fingerprint %s: compare it with the coordinator's by telephone\n",
               dir, fm_role_name(fm_identity_info(id)->role), fm_identity_info(id)->name,
               fm_identity_info(id)->federation, end, ca);
        if (fm_trust_list_count(t) == 0)
            printf("No revocation list is here: nobody counts as revoked. Add one with --crl\n");
    } else {
        code = fm_cli_failed(program);
    }
    fm_trust_free(&t);
    fm_identity_free(&id);
    return code;
}

int fm_certs_install(int argc, char **argv)
{
    const char *dir = NULL;
    fm_adoption a = { 0 };
    fm_cli_list crls = { 0 };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "where 'request' made the key", true, 0, 0 },
        { "certificate", FM_CLI_STRING, &a.certificate, "FILE",
          "the certificate (PEM); intermediate CAs may stand behind it", true, 0, 0 },
        { "chain", FM_CLI_STRING, &a.chain, "FILE", "intermediate CAs, at most two", false, 0, 0 },
        { "ca", FM_CLI_STRING, &a.ca, "FILE", "the CA at the top, which is pinned (first time)",
          false, 0, 0 },
        { "crl", FM_CLI_LIST, &crls, "FILE",
          "revocation list of a CA; once for each CA, the top one included", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-certs install",
        .summary = "Check what a PKI gave back for a request, and make it the folder's identity. "
                   "Nothing is changed when anything does not fit. The next certificate of the "
                   "same key is installed in the same way.",
        .examples = "fedmoe-certs install --directory hospital-a --certificate hospital-a.pem "
                    "--chain issuing-ca.pem --ca root-ca.pem --crl issuing-ca.crl --crl "
                    "root-ca.crl\n"
                    "fedmoe-certs install --directory hospital-a --certificate hospital-a-2028.pem",
        .options = options,
        .option_count = COUNT(options),
    };
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (crls.count > FM_ADOPT_FILES_MAX) {
        (void)fm_fail(FM_EINVAL, "--crl: at most %u times", FM_ADOPT_FILES_MAX);
        code = fm_certs_bad_usage(spec.program);
    } else {
        for (size_t i = 0; i < crls.count; i++)
            a.crls[a.crl_count++] = crls.items[i];
        code = fm_identity_adopt(dir, &a, fm_clock_wall_s()) == FM_OK ? say_installed(dir)
                                                                      : fm_cli_failed(spec.program);
    }
    free(crls.items);
    return code;
}
