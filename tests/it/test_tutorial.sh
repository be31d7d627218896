#!/usr/bin/env bash
# The commands of config/docs/first-app.md, as a reader would type them: every block of "sh" runs, files are what the page says.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
it_server
page=$src/config/docs/first-app.md
mkdir "$it_dir/tutorial" && cd "$it_dir/tutorial" || exit 1

# One script of all blocks: "```sh" as it is; a block after a line "`NAME`:" becomes the file NAME.
awk '
  /^`[^`]+`:$/ { file = $0; gsub(/[`:]/, "", file); next }
  /^```/ && !inside { inside = 1; kind = $0 == "```sh" ? "sh" : file != "" ? "file" : ""; number = NR
    if (kind == "sh") print "echo \"# line " number "\""
    if (kind == "file") print "cat >" file " <<'\''END_OF_FILE'\''"
    next }
  /^```/ && inside { if (kind == "file") print "END_OF_FILE"
    if (kind == "sh") print "echo \"block ok " number "\""
    inside = 0; kind = ""; file = ""; next }
  inside && kind != "" { print }' "$page" >tutorial.sh
blocks=$(grep -c '^echo "block ok' tutorial.sh)
timeout 360 bash -euo pipefail tutorial.sh >output 2>&1
rc=$?
for line in $(sed -n 's/^echo "block ok \([0-9]*\)"$/\1/p' tutorial.sh); do
  grep -qx "block ok $line" output
  ok $? "the block at line $line of first-app.md"
done
is "$(grep -c '^block ok' output)" "$blocks" "all blocks of the page ran"
[ $rc -eq 0 ] || sed 's/^/# /' output | tail -n 40
docker image rm -f hello-web >/dev/null 2>&1
done_testing
