#!/usr/bin/env bash
# An outside PKI by the openssl command line: pki.sh COMMAND ... in the folder where it lives. Each
# CA is a subfolder: ca.pem, ca-key.pem, crl.pem. The profile is that of docs/pki.md.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
export PKI_CONFIG=$here/pki.cnf

quiet() { "$@" >>openssl.log 2>&1 || { tail -5 openssl.log >&2; exit 1; }; }

make_key() { # FILE KIND
    case $2 in
    rsa*) quiet openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa}" -out "$1" ;;
    *) quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:"$2" -out "$1" ;;
    esac
}

books() { # CA
    mkdir -p "$1"
    : >"$1/index.txt"
    echo 01 >"$1/crlnumber"
}

as_ca() { # CA openssl-ca-arguments
    local name=$1
    shift
    CA=$name quiet openssl ca -config "$PKI_CONFIG" -batch -notext "$@"
}

crl() { as_ca "$1" -gencrl -out "$1/crl.pem"; } # CA

root() { # CA KIND [DAYS]
    books "$1"
    make_key "$1/ca-key.pem" "$2"
    CA=$1 quiet openssl req -x509 -config "$PKI_CONFIG" -extensions root -new -sha256 \
        -key "$1/ca-key.pem" -subj "/O=Hospital trust/CN=$1" -days "${3:-3650}" -out "$1/ca.pem"
    crl "$1"
}

# A certificate for the key of CA NAME by ISSUER; what it says is the test's affair.
sub() { # NAME ISSUER KIND BASIC-CONSTRAINTS KEY-USAGE [openssl-ca-arguments]
    local name=$1 issuer=$2 basic=$4 usage=$5
    [ -f "$name/ca-key.pem" ] || { books "$name"; make_key "$name/ca-key.pem" "$3"; }
    shift 5
    cat >"$name/ext.cnf" <<EOT
basicConstraints=$basic
keyUsage=$usage
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
${MORE:-}
EOT
    CA=$name quiet openssl req -new -config "$PKI_CONFIG" -key "$name/ca-key.pem" \
        -subj "/O=Hospital trust/CN=$name" -out "$name/ca.csr"
    as_ca "$issuer" -in "$name/ca.csr" -out "$name/ca.pem" -extfile "$name/ext.cnf" \
        ${1:+"$@"}
    # One that is no CA has no list of its own that anyone could want.
    crl "$name" || true
}

sign() { # ISSUER CSR OUT [openssl-ca-arguments]
    local issuer=$1 csr=$2 out=$3
    shift 3
    as_ca "$issuer" -in "$csr" -out "$out" ${1:+"$@"}
}

# The other way of docs/pki.md, without a CA's books.
plain() { # ISSUER CSR OUT
    CA=$1 quiet openssl x509 -req -in "$2" -CA "$1/ca.pem" -CAkey "$1/ca-key.pem" -days 30 -sha256 \
        -CAcreateserial -copy_extensions copy -extfile "$PKI_CONFIG" -extensions member -out "$3"
}

# What the profile of docs/pki.md would not give: for the key FILE, with other usage and names.
variant() { # ISSUER KEY OUT KEY-USAGE [SUBJECT-ALT-NAME]
    CA=$1 quiet openssl req -new -config "$PKI_CONFIG" -key "$2" -subj "/CN=variant" -out variant.csr
    cat >variant.cnf <<EOT
basicConstraints=critical,CA:FALSE
keyUsage=critical,$4
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
${5:+subjectAltName=$5}
EOT
    as_ca "$1" -in variant.csr -out "$3" -extfile variant.cnf
}

# A member's certificate and key used as if they were a CA's.
adopt() { # CA KEY CERTIFICATE
    books "$1"
    cp "$2" "$1/ca-key.pem"
    cp "$3" "$1/ca.pem"
}

# A CA of the same name, signed by itself, and its list.
fake() { # CA KIND
    rm -f "$1/ca-key.pem"
    root "$1" "$2"
}

keep() { cp "$1" "$2"; } # FILE COPY

revoke() { # ISSUER CERTIFICATE
    as_ca "$1" -revoke "$2"
    crl "$1"
}

command=$1
shift
"$command" "$@"
