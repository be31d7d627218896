#!/usr/bin/env bash
# An app follows a repository: a push deploys it, from the look to the line that made an instance.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

command -v git >/dev/null || skip_all "git is not here"
work=$it_dir/work
repos=$it_dir/repos
mkdir -p "$work" "$repos" && cd "$work" || exit 1
app=$it
image=berth-$it/box:1
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME="Ada Lovelace" GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Grace GIT_COMMITTER_EMAIL=grace@example.org

git_port=$((20000 + $$ % 20000))
it_server "  - plugin: scm-git
    config:
      cache: $it_dir/cache
      protocols: [https, ssh, http, git, file]
      file_roots: [$repos]"
it_image "$image"

source_of() { berth source ls --format json | jq -r ".[] | select(.app == \"$app\") | $1"; }
instances() { berth ps "$app" --format json | jq -r "$1"; }
state_is() { [ "$(source_of .state)" = "$1" ]; }
greeting_is() { [ "$(instances '[.[] | select(.ready)] | length')" = 1 ] && docker exec "$(docker ps -qf name="$app-web-1")" cat /tmp/greeting | grep -qx "$1"; }

git init -q --bare "$repos/shop.git"
git init -q -b main shop
mkdir -p shop/deploy
write() { # GREETING : what the app says
  cat >shop/deploy/compose.yaml <<YAML
# the shop
services:
  web:
    image: $image
    command: [sh, -c, "echo $1 >/tmp/greeting; trap exit TERM; while :; do sleep 1 & wait; done"]
    stop_grace_period: 1s
    environment: {PLACE: "\${PLACE:-nowhere}"}
    env_file: [web.env]
YAML
  echo "FROM_FILE=yes" >shop/deploy/web.env
}
push() { # MESSAGE
  git -C shop add -A && git -C shop commit -q --allow-empty -m "$1" && git -C shop push -q "$repos/shop.git" main
}
head_of() { git -C shop rev-parse HEAD; }
write hello
push "first greeting"

succeeds "an app follows a repository" timeout 90 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --interval 10s --env PLACE=here
like "$out" "first greeting" "the commit is named"
like "$out" "Ada Lovelace" "and its author"
ok "$(greeting_is hello; echo $?)" "it runs"
is "$(source_of .state)" in-sync "the source is in sync"
is "$(source_of .applied)" "$(head_of)" "with that commit"
is "$(docker exec "$(docker ps -qf name="$app-web-1")" sh -c 'echo $PLACE $FROM_FILE')" "here yes" "files that it names came along, and variables"

# --- from an instance to the line that made it
id=$(instances '.[0].instance')
is "$(berth inspect "$id" | jq -r '.origin | .repository, .commit, .author, .file, .line')" \
  "file://$repos/shop.git
$(head_of)
Ada Lovelace
deploy/compose.yaml
3" "inspect leads to repository, commit, author, file and line"
is "$(berth history "$app" --format json | jq -r '.[-1] | .origin.commit, .message, .cause')" "$(head_of)
first greeting
source" "the history has the commit"
like "$(berth history "$app")" "$(head_of | cut -c1-12) *Ada Lovelace" "and shows it"

# --- a push deploys
write again
push "another greeting"
ok "$(wait_for 30 greeting_is again; echo $?)" "a push is deployed by itself"
ok "$(wait_for 10 state_is in-sync; echo $?)" "and the source is in sync again"
is "$(source_of .applied)" "$(head_of)" "with the new commit"

done_testing
