#!/usr/bin/env bash
# What the programs in a folder are made of, as SPDX 2.3: packaging/sbom.sh FOLDER VERSION > fedmoe.spdx.json
# The libraries are those that the programs name as needed (DYNAMIC_LINK) and those that they load when asked
# (OPTIONAL_DEPENDENCY_OF), as Debian packages with their versions; dated by
# $SOURCE_DATE_EPOCH, so that the same build on the same system gives the same bytes.
set -euo pipefail
folder=$1
version=$2
when=$(date -u -d "@${SOURCE_DATE_EPOCH:?}" +%Y-%m-%dT%H:%M:%SZ)
programs=(node aggregator model dp certs demo)
known=$(ldconfig -p)

package_of() { # LIBRARY: name version source source_version
    local file owner
    file=$(printf '%s\n' "$known" | sed -n "s|^[[:space:]]*$1 (.*x86-64.*) => ||p; s|^[[:space:]]*$1 (.*AArch64.*) => ||p" | head -1)
    [ -n "$file" ] || { echo "sbom: no $1 on this system" >&2; return 1; }
    for file in "$file" "$(readlink -f "$file")" "/usr$file" "/usr$(readlink -f "$file")"; do
        owner=$(dpkg-query -S "$file" 2>/dev/null | head -1 | cut -d: -f1) && [ -n "$owner" ] && break
    done
    [ -n "$owner" ] || { echo "sbom: $1 belongs to no package" >&2; return 1; }
    dpkg-query -W -f='${Package} ${Version} ${source:Package} ${source:Version}\n' "$owner" | head -1
}
needed() { readelf -d "$folder/fedmoe-$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

loaded() { # when first needed (base/library.h): their names stand alone in the program
    strings -a "$folder/fedmoe-$1" | grep -xE 'lib[a-z0-9-]+\.so\.[0-9]+' | grep -vxF -f <(needed "$1") | sort -u
}

declare -A owners=()   # library -> what package_of says
declare -A packages=() # SPDX id -> JSON
relations=()
for program in "${programs[@]}"; do
    while read -r how library; do
        [ -n "${owners[$library]:-}" ] || owners[$library]=$(package_of "$library")
        read -r name number source source_number <<<"${owners[$library]}"
        id=SPDXRef-$(tr -c 'A-Za-z0-9.\n' - <<<"$name")
        packages[$id]=$(printf '{"SPDXID": "%s", "name": "%s", "versionInfo": "%s", "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "sourceInfo": "source package %s %s", "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/%s@%s"}]}' \
            "$id" "$name" "$number" "$source" "$source_number" "$name" "${number//+/%2B}")
        if [ "$how" = needed ]; then
            relations+=("{\"spdxElementId\": \"SPDXRef-fedmoe-$program\", \"relationshipType\": \"DYNAMIC_LINK\", \"relatedSpdxElement\": \"$id\"}")
        else
            relations+=("{\"spdxElementId\": \"$id\", \"relationshipType\": \"OPTIONAL_DEPENDENCY_OF\", \"relatedSpdxElement\": \"SPDXRef-fedmoe-$program\"}")
        fi
    done < <(needed "$program" | sed 's/^/needed /' && { loaded "$program" || true; } | sed 's/^/loaded /')
    sum=$(sha256sum "$folder/fedmoe-$program" | cut -d' ' -f1)
    packages[SPDXRef-fedmoe-$program]=$(printf '{"SPDXID": "SPDXRef-fedmoe-%s", "name": "fedmoe-%s", "versionInfo": "%s", "supplier": "Organization: The fedmoe authors", "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "2026 The fedmoe authors", "primaryPackagePurpose": "APPLICATION", "checksums": [{"algorithm": "SHA256", "checksumValue": "%s"}]}' \
        "$program" "$program" "$version" "$sum")
    relations+=("{\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": \"SPDXRef-fedmoe-$program\"}")
done

list() { # of lines, with commas between them
    sed '$!s/$/,/; s/^/    /'
}
all=$(for id in $(printf '%s\n' "${!packages[@]}" | sort); do printf '%s\n' "${packages[$id]}"; done)
whole=$(printf '%s\n' "$all" | sha256sum | cut -c1-32)
cat <<END
{
  "spdxVersion": "SPDX-2.3",
  "dataLicense": "CC0-1.0",
  "SPDXID": "SPDXRef-DOCUMENT",
  "name": "fedmoe-$version",
  "documentNamespace": "urn:fedmoe:spdx:$version:$whole",
  "creationInfo": {"created": "$when", "creators": ["Organization: The fedmoe authors", "Tool: fedmoe-sbom-1"]},
  "packages": [
$(printf '%s\n' "$all" | list)
  ],
  "relationships": [
$(printf '%s\n' "${relations[@]}" | list)
  ]
}
END
