#include "library.h"

#include "fedmoe/base/library.h"

web_library web_lib;

fm_status web_library_load(void)
{
#define WEB_SYMBOL(name) { #name, &web_lib.name },
    static const fm_library_symbol symbols[] = { WEB_LIBRARY_FUNCTIONS(WEB_SYMBOL){
        "gnutls_free", &web_lib.gnutls_free } };
    static fm_library library = { .file = "libmicrohttpd.so.12",
                                  .package = "libmicrohttpd12",
                                  .symbols = symbols,
                                  .count = sizeof symbols / sizeof symbols[0] };

    return fm_library_load(&library);
}
