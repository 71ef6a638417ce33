# docs/ as a site: it builds without a complaint, loads nothing from elsewhere, and each kind of
# mistake is found and named.
set -uo pipefail
: "${SOURCE:?the source tree}"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/fedmoe-docs-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
failed=0
check() {
    local what=$1
    shift
    if "$@"; then echo "ok: $what"; else echo "FAILED: $what" >&2; failed=1; fi
}
build() { python3 -B "$SOURCE/docs/site/build.py" "$1" "$WORK/site"; }
check "the site builds" build "$SOURCE"
check "with a start page, a man page and a search" \
    grep -q 'fedmoeIndex=.*man/fedmoe-node.1.html' "$WORK/site/search-index.js"
if command -v node >/dev/null; then
    check "the search is a script" node --check "$WORK/site/search.js"
fi

# A small tree with one mistake of each kind; `complains TEXT` of it.
mkdir -p "$WORK/tree/docs/man" "$WORK/tree/tests"
cat >"$WORK/tree/docs/index.md" <<'END'
# fedmoe

## All

- [A page](page.md)
- [A heading](page.md#there-is-this)
- [A program](man/x.1)
END
printf '.Dd today\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n' >"$WORK/tree/docs/man/x.1"
echo 'cmd_test() { :; }' >"$WORK/tree/dev"
page() { printf '# Page\n\n## There is this\n\n%s\n' "$1" >"$WORK/tree/docs/page.md"; }
complains() {
    build "$WORK/tree" >"$WORK/out" 2>&1 && { echo "  no complaint" >&2; return 1; }
    grep -qF -- "$1" "$WORK/out" || { cat "$WORK/out" >&2; return 1; }
}
page 'See `tests/{,}` and [there](#there-is-this), run `./dev test`.'
check "(the small tree is in order)" build "$WORK/tree"
page '[no](none.md)'
check "a page that is not there" complains 'docs/page.md: none.md: docs/none.md is not there'
page '[no](index.md#none)'
check "a heading that is not there" complains 'docs/page.md: index.md#none: no heading #none in docs/index.md'
page 'See `tests/none.c`.'
check "a path that is not there" complains 'docs/page.md: `tests/none.c`: no such file'
page 'Run `./dev none`.'
check "a command of dev that is not there" complains 'docs/page.md: `./dev none`: dev has no such command'
page '![x](https://example.org/x.png)'
check "a picture of another host" complains 'page.html: loads something from another host'
page ''
echo '# New' >"$WORK/tree/docs/new.md"
check "a page that is not listed" complains 'docs/new.md: docs/index.md does not list it'
exit $failed
