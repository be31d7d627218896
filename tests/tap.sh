# TAP for shell tests: source it, call ok/is/like/run…, end with done_testing.
tap_count=0 tap_failed=0

# ok STATUS NAME : a point that holds where STATUS is 0.
ok() {
  tap_count=$((tap_count + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $tap_count - $2"
  else
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $2"
    echo "# called from line ${BASH_LINENO[${3:-0}]} of ${BASH_SOURCE[-1]##*/}"
  fi
}

# is GOT WANT NAME
is() {
  if [ "$1" = "$2" ]; then
    ok 0 "$3" 1
  else
    ok 1 "$3" 1
    printf '#   got: %s\n#  want: %s\n' "${1//$'\n'/$'\n#        '}" "${2//$'\n'/$'\n#        '}"
  fi
}

# like TEXT ERE NAME / unlike TEXT ERE NAME
like() {
  if grep -qE -- "$2" <<<"$1"; then
    ok 0 "$3" 1
  else
    ok 1 "$3" 1
    printf '#   got: %s\n#  want something like: %s\n' "${1//$'\n'/$'\n#        '}" "$2"
  fi
}
unlike() {
  if grep -qE -- "$2" <<<"$1"; then
    ok 1 "$3" 1
    printf '#   got: %s\n#  want nothing like: %s\n' "${1//$'\n'/$'\n#        '}" "$2"
  else
    ok 0 "$3" 1
  fi
}

# succeeds NAME COMMAND… / fails NAME CODE COMMAND… : runs a command; its output is in $out.
succeeds() {
  local name=$1 rc=0
  shift
  out=$("$@" 2>&1) || rc=$?
  ok $rc "$name" 1
  [ $rc -eq 0 ] || printf '# exit code %d of: %s\n# %s\n' $rc "$*" "${out//$'\n'/$'\n# '}"
}
fails() {
  local name=$1 want=$2 rc=0
  shift 2
  out=$("$@" 2>&1) || rc=$?
  [ $rc -eq "$want" ] && ok 0 "$name" 1 && return
  ok 1 "$name" 1
  printf '# exit code %d, not %d, of: %s\n# %s\n' $rc "$want" "$*" "${out//$'\n'/$'\n# '}"
}

# wait_for SECONDS COMMAND… : runs the command until it succeeds; fails when the time is over.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || return 1
    read -rt 0.05 <> <(:) || true
  done
}

skip() {
  tap_count=$((tap_count + 1))
  echo "ok $tap_count - $1 # SKIP $2"
}
skip_all() {
  echo "1..0 # SKIP $1"
  exit 0
}

done_testing() {
  echo "1..$tap_count"
  [ $tap_failed -eq 0 ]
}
