/* Libraries that are loaded when they are first needed. */
#include <string.h>

#include "fedmoe/base/library.h"
#include "suites.h"

static double (*cosine)(double), (*none)(double);

static void its_functions_are_there(void)
{
    static const fm_library_symbol symbols[] = { { "cos", &cosine } };
    fm_library l = { .file = "libm.so.6", .package = "libc6", .symbols = symbols, .count = 1 };

    CU_ASSERT_EQUAL(fm_library_load(&l), FM_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cosine);
    CU_ASSERT_EQUAL(cosine(0), 1);
    CU_ASSERT(l.loaded);
    l.file = "gone";
    CU_ASSERT_EQUAL(fm_library_load(&l), FM_OK); /* it has been loaded */
}

static void one_that_is_not_installed_is_named_with_its_package(void)
{
    static const fm_library_symbol symbols[] = { { "cos", &none } };
    fm_library l = {
        .file = "libnowhere.so.9", .package = "libnowhere9", .symbols = symbols, .count = 1
    };

    CU_ASSERT_EQUAL(fm_library_load(&l), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "libnowhere.so.9 cannot be loaded"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "apt install libnowhere9"));
    CU_ASSERT_FALSE(l.loaded);
}

static void one_that_lacks_a_function_gives_none(void)
{
    static const fm_library_symbol symbols[] = { { "sin", &none }, { "no_such_function", &none } };
    fm_library l = { .file = "libm.so.6", .package = "libc6", .symbols = symbols, .count = 2 };

    CU_ASSERT_EQUAL(fm_library_load(&l), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "libm.so.6 has no no_such_function"));
    CU_ASSERT(none == NULL);
}

static const fm_test tests[] = {
    { "its functions are there", its_functions_are_there },
    { "one that is not installed is named with its package",
      one_that_is_not_installed_is_named_with_its_package },
    { "one that lacks a function gives none", one_that_lacks_a_function_gives_none },
};

const fm_test_suite suite_library = { "base.shared_library", tests, FM_TEST_COUNT(tests) };
