#!/usr/bin/env bash
# Files that are made from the program's own tables are current and sound: completions, manual pages.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS=detect_leaks=0

succeeds "completions and manual pages are what the program makes" config/man/refresh --check "$build"
succeeds "bash takes its completions" bash -n config/completions/berth.bash
succeeds "zsh takes its completions" zsh -n config/completions/_berth
succeeds "fish takes its completions" fish -n config/completions/berth.fish

complete_bash() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _berth
  echo "${COMPREPLY[*]}"
}
# shellcheck source=config/completions/berth.bash
. config/completions/berth.bash
is "$(complete_bash berth sec)" secret "a verb is completed"
is "$(complete_bash berth secret "")" "ls put rm" "its second word"
is "$(complete_bash berth up --det)" --detach "an option"
is "$(complete_bash berth up --compat "")" "refuse warn" "the values of an option"

for page in berth.1 berthd.8 berthd.yaml.5; do
  is "$(mandoc -Tlint "config/man/$page" | grep -v 'referenced manual not found')" "" "mandoc has nothing to say about $page"
done
done_testing
