#!/bin/sh
# The gateway's own certificate authority. The key is made once and never leaves the device; the served certificate is
# renewed before it ends. `check` tells whether there is nothing to do, `issue` does it. Killed anywhere, it goes on.
#
# local-ca check|issue DIRECTORY SERVED COMMON_NAME HOST DOMAIN AUTHORITY_DAYS DAYS RENEW_BEFORE_DAYS
set -eu
umask 077

verb=$1 dir=$2 served=$3 name=$4 host=$5 domain=$6 authority_days=$7 days=$8 renew=$9
key=$dir/ca.key authority=$dir/ca.crt

fail() {
    echo "local-ca: $1" >&2
    exit 1
}

public_half() {
    openssl pkey -in "$1" -pubout 2>/dev/null
}

# Whether the served file is a valid certificate for the host, of this authority, with its key, for long enough.
is_served() {
    [ -s "$key" ] && [ -s "$authority" ] && [ -s "$served" ] || return 1
    openssl verify -CAfile "$authority" "$served" >/dev/null 2>&1 || return 1
    openssl x509 -in "$served" -noout -checkend $((renew * 86400)) >/dev/null 2>&1 || return 1
    openssl x509 -in "$served" -noout -checkhost "$host" | grep -q 'does match' || return 1
    [ "$(public_half "$served")" = "$(openssl x509 -in "$served" -noout -pubkey)" ]
}

# Every new file is whole before it takes its name.
finish() {
    sync "$1.new"
    mv "$1.new" "$1"
    sync "$(dirname "$1")"
}

make_authority() {
    if [ ! -s "$key" ]; then
        [ ! -s "$authority" ] || fail "$authority is there and $key is lost: restore it from the backup. Without it each
client would have to install a new authority; remove $authority if that is wanted"
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$key.new" 2>/dev/null
        finish "$key"
    fi
    [ -s "$authority" ] && return
    # Clients trust it for the local domain alone, whatever happens to the key.
    openssl req -x509 -new -key "$key" -sha256 -days "$authority_days" -subj "/CN=$name" \
        -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
        -addext "nameConstraints=critical,permitted;DNS:$domain" -out "$authority.new"
    chmod 644 "$authority.new"
    finish "$authority"
}

issue() {
    work=$(mktemp -d "$dir/issue.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/key" 2>/dev/null
    openssl req -new -key "$work/key" -subj "/CN=$host" -out "$work/request"
    cat >"$work/extensions" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:$host
END
    openssl x509 -req -in "$work/request" -CA "$authority" -CAkey "$key" -sha256 -days "$days" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/certificate" 2>/dev/null
    # One file for both, so that key and certificate change in one step.
    cat "$work/key" "$work/certificate" >"$served.new"
    finish "$served"
}

case $verb in
check) is_served ;;
issue)
    # What a killed run left.
    rm -rf "$dir"/issue.??????
    is_served && exit 0
    make_authority
    issue
    is_served || fail "the new certificate for $host is not valid: is the clock right, and $authority not at its end?"
    ;;
*) fail "unknown command $verb: use check or issue" ;;
esac
