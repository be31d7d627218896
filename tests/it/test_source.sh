#!/usr/bin/env bash
# An app follows a repository: a push deploys it, from the look to the line that made an instance.
# timeout: 500
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

# the host of repositories, and one that speaks git's own protocol
python3 "$src/tests/it/git_host.py" "$repos" "$it_dir/statuses" berth:s3cret-pass >"$it_dir/host.port" &
host_pid=$!
git_port=$((10000 + $$ * 16 % 9000))
git daemon --base-path="$repos" --export-all --listen=127.0.0.1 --port=$git_port --reuseaddr "$repos" 2>/dev/null &
daemon_pid=$!
trap 'rc=$?; kill $host_pid $daemon_pid ${sshd_pid:-} 2>/dev/null; (exit $rc); it_cleanup' EXIT
wait_for 10 test -s "$it_dir/host.port"
port=$(cat "$it_dir/host.port")
secret=0123456789abcdef-$it
it_server "  - plugin: scm-git
    config:
      cache: $it_dir/cache
      protocols: [https, ssh, http, git, file]
      file_roots: [$repos]
      webhook_secret: $secret
      max_repository: 8MiB
      hosts:
        127.0.0.1:$port: {kind: gitea, api: \"http://127.0.0.1:$port/api/v1\", token: t0ken, username: berth, password: s3cret-pass}"
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

# --- drift
berth scale "$app/web=2" >/dev/null 2>&1
ok "$(wait_for 10 state_is drifted; echo $?)" "what somebody scales by hand is drift"
like "$(berth source ls)" "drifted" "source ls shows it"
succeeds "sync brings the commit back" timeout 60 berth sync "$app"
ok "$(state_is in-sync; echo $?)" "and the drift is gone"
ok "$(wait_for 10 eval '[ "$(instances length)" = 1 ]'; echo $?)" "with as many instances as the file has"
succeeds "the source is told to correct" berth follow "$app" --repo "http://127.0.0.1:$port/git/shop.git" --path deploy --interval 60s --env PLACE=here --correct --detach
ok "$(wait_for 20 state_is in-sync; echo $?)" "from a host behind a login"
berth scale "$app/web=2" --detach >/dev/null 2>&1
ok "$(wait_for 30 eval 'state_is in-sync && [ "$(instances length)" = 1 ]'; echo $?)" "a change by hand is taken back"
is "$(berth events --format json | jq -r 'select(.type == "source.corrected") | .app' | tail -n 1)" "$app" "and an event says so"
unlike "$(cat /proc/"$it_pid"/cmdline "$it_dir/berthd.log" | tr '\0' ' ')" "s3cret-pass" "no password in the log"
is "$(grep -rl s3cret-pass "$it_dir/cache" /run/berth-scm-git-* 2>/dev/null)" "" "nor in the cache, nor left behind"

# --- webhooks
sock=$it_dir/run/berth.sock
hook() { # BODY HEADER… : the status of the answer
  local body=$1
  shift
  printf '%s' "$body" >"$it_dir/body"
  curl -s -o "$it_dir/answer" -w '%{http_code} %{time_total}' --unix-socket "$sock" -X POST --data-binary "@$it_dir/body" -H 'Content-Type: application/json' "$@" http://localhost/hooks/scm-git
}
sign() { printf '%s' "$1" | openssl dgst -sha256 -hmac "$secret" | awk '{print $NF}'; }
body() { # WHAT
  jq -nc --arg url "http://127.0.0.1:$port/git/shop.git" --arg commit "$(head_of)" --arg what "$1" \
    '{ref: "refs/heads/main", after: $commit, what: $what, repository: {clone_url: $url, ssh_url: "git@127.0.0.1:git/shop.git"}}'
}
write hooked
push "told by a webhook"
is "$(hook "$(body forged)" -H 'X-GitHub-Event: push' -H 'X-GitHub-Delivery: 1' -H "X-Hub-Signature-256: sha256=$(sign other)" | cut -d' ' -f1)" 401 "a forged webhook is refused"
is "$(hook "$(body none)" -H 'X-Gitlab-Event: Push Hook' -H 'X-Gitlab-Token: wrong' | cut -d' ' -f1)" 401 "and a wrong token"
is "$(hook "$(body none)" | cut -d' ' -f1)" 401 "and one that proves nothing"
flood() { printf '%s\n' {1..400} | xargs -P 20 -I{} curl -s -o /dev/null -w '%{http_code}\n' --unix-socket "$sock" -X POST -d '{"n": {}}' -H 'X-GitHub-Event: push' -H 'X-Hub-Signature-256: sha256=00' http://localhost/hooks/scm-git | sort | uniq -c | xargs; }
is "$(flood)" "400 401" "hundreds of them are refused as well"
is "$(grep -c "without the proof" "$it_dir/berthd.log")" 1 "with one line in the log a minute"
ok "$(! greeting_is hooked; echo $?)" "nothing came of them"
answer=$(hook "$(body good)" -H 'X-GitHub-Event: push' -H 'X-GitHub-Delivery: d1' -H "X-Hub-Signature-256: sha256=$(sign "$(body good)")")
is "${answer% *}" 202 "GitHub's is taken"
ok "$(awk -v t="${answer#* }" 'BEGIN { exit !(t < 1) }'; echo $?)" "within a second (${answer#* })"
ok "$(wait_for 20 greeting_is hooked; echo $?)" "and the push is deployed, long before the interval"
is "$(hook "$(body good)" -H 'X-GitHub-Event: push' -H 'X-GitHub-Delivery: d1' -H "X-Hub-Signature-256: sha256=$(sign "$(body good)")" | cut -d' ' -f1)" 409 "the same again is refused"
is "$(hook "$(body good)" -H 'X-GitHub-Event: push' -H 'X-GitHub-Delivery: d2' -H "X-Hub-Signature-256: sha256=$(sign "$(body good)")" | cut -d' ' -f1)" 409 "also under another id"
head -c 300000 /dev/zero | tr '\0' x >"$it_dir/commits"
body large | jq -c --rawfile commits "$it_dir/commits" '. + {commits: [$commits]}' >"$it_dir/large"
signature=$(openssl dgst -sha256 -hmac "$secret" "$it_dir/large" | awk '{print $NF}')
is "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" -X POST --data-binary "@$it_dir/large" -H 'Content-Type: application/json' -H 'X-GitHub-Event: push' -H 'X-GitHub-Delivery: d-large' -H "X-Hub-Signature-256: sha256=$signature" http://localhost/hooks/scm-git)" 202 "a push of hundreds of commits is taken as well"
write gitea
push "from Gitea"
is "$(hook "$(body gitea)" -H 'X-Gitea-Event: push' -H 'X-Gitea-Delivery: d3' -H "X-Gitea-Signature: $(sign "$(body gitea)")" | cut -d' ' -f1)" 202 "Gitea's is taken"
ok "$(wait_for 20 greeting_is gitea; echo $?)" "and deployed"
write gitlab
push "from GitLab"
is "$(hook "$(body gitlab)" -H 'X-Gitlab-Event: Push Hook' -H 'X-Gitlab-Event-UUID: d4' -H "X-Gitlab-Token: $secret" | cut -d' ' -f1)" 202 "GitLab's is taken"
ok "$(wait_for 20 greeting_is gitlab; echo $?)" "and deployed"
ok "$(wait_for 10 state_is in-sync; echo $?)" "in sync"
it_stop KILL
it_start
is "$(hook "$(body gitlab)" -H 'X-Gitlab-Event: Push Hook' -H 'X-Gitlab-Event-UUID: d4' -H "X-Gitlab-Token: $secret" | cut -d' ' -f1)" 409 "what came is remembered after kill -9"

# --- statuses
statuses() { jq -r "select(.path | endswith(\"$1\")) | .body.state" "$it_dir/statuses" | tr '\n' ' '; }
ok "$(wait_for 10 eval '[[ "$(statuses "$(head_of)")" == *success* ]]'; echo $?)" "the host is told: $(statuses "$(head_of)")"
is "$(jq -r 'select(.body.state == "success") | .body | keys | join(" ")' "$it_dir/statuses" | sort -u)" "context description state" "with what its API takes, and no more"
is "$(jq -r 'select(.body.state == "success") | .path, .token, .body.context' "$it_dir/statuses" | tail -n 3)" "/api/v1/repos/git/shop/statuses/$(head_of)
token t0ken
berth/default/$app" "as Gitea has it"
good=$(head_of)
echo "services: {web: {image: \"$image\", nosuch: 1}}" >shop/deploy/compose.yaml
push "a mistake"
fails "a wrong file is refused" 2 timeout 60 berth sync "$app"
like "$out" "^berth: deploy/compose.yaml:1:[0-9]+: .*nosuch" "with a sentence that has its place in the repository"
ok "$(state_is failed; echo $?)" "the source says so"
like "$(berth doctor --format json | jq -r '.[] | select(.element == "repositories") | .verdict + ": " + .found')" \
  "^warning: 1 of 1 are not: .* of app $app: " "and the doctor"
is "$(source_of .applied)" "$good" "the app stays at the good commit"
ok "$(wait_for 10 eval '[[ "$(statuses "$(head_of)")" == *failure* ]]'; echo $?)" "and the host is told of the failure"

# --- a rollout that fails goes back, and its commit is not tried again
cat >shop/deploy/compose.yaml <<YAML
services:
  web:
    image: $image
    command: [sh, -c, "exit 3"]
    deploy: {update_config: {failure_action: rollback, monitor: 1s}, restart_policy: {condition: none}}
YAML
push "it falls over"
timeout 90 berth sync "$app" >/dev/null 2>&1
ok "$(wait_for 60 eval '[ "$(source_of .refused)" = "$(head_of)" ] && [ "$(berth ls --format json | jq -r ".[0].state")" = running ]'; echo $?)" "a failing rollout goes back by itself"
ok "$(wait_for 30 greeting_is gitlab; echo $?)" "to what ran before"
ok "$(wait_for 10 eval '[[ "$(statuses "$(head_of)")" == *failure* ]]'; echo $?)" "the host is told of it"
ok "$(state_is failed; echo $?)" "it is no drift, but a failure"

# --- only on request, dry run, tags, git's own protocol
write tagged
push "for a tag"
git -C shop tag v1.2 && git -C shop tag v1.10 HEAD~1 && git -C shop tag -a -m "annotated" v1.9 && git -C shop tag v1.11-rc1 HEAD~1 && git -C shop push -q "$repos/shop.git" --tags
succeeds "follow tags on request, over git://" berth follow "$app" --repo "git://127.0.0.1:$git_port/shop.git" --tag 'v1.?' --path deploy --on-request --interval 10s
ok "$(wait_for 20 state_is behind; echo $?)" "a commit waits"
succeeds "a dry run tells of it" timeout 60 berth sync "$app" --dry-run
like "$out" "dry run" "and does nothing"
ok "$(state_is behind; echo $?)" "it is still behind"
succeeds "sync deploys it" timeout 90 berth sync "$app"
ok "$(greeting_is tagged; echo $?)" "on request"
is "$(source_of .found.ref)" refs/tags/v1.9 "the highest version that fits, of an annotated tag"

# --- only signed commits
ssh-keygen -q -t ed25519 -N '' -f "$it_dir/ada" && ssh-keygen -q -t ed25519 -N '' -f "$it_dir/eve"
echo "ada@example.org $(cut -d' ' -f1,2 "$it_dir/ada.pub")" >"$it_dir/signers"
signed() { # KEY MESSAGE
  git -C shop add -A && git -C shop -c gpg.format=ssh -c user.signingkey="$it_dir/$1" commit -q -S --allow-empty -m "$2" && git -C shop push -q "$repos/shop.git" main
}
fails "a commit without a signature is refused" 5 timeout 60 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --signed-by "$it_dir/signers" --interval 10s
like "$out" "not signed by a key that this source trusts" "with a sentence"
write eve && signed eve "by a stranger"
fails "a stranger's signature is refused" 5 timeout 60 berth sync "$app"
write ada && signed ada "by Ada"
succeeds "Ada's is taken" timeout 60 berth sync "$app"
ok "$(greeting_is ada; echo $?)" "and deployed"
is "$(source_of .found.signature)" ada@example.org "the signer is known"
berth secret put "$app-signers" "$it_dir/signers" >/dev/null
fails "the keys may be in a secret that is not there" 3 timeout 60 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --signed-by-secret "$app-nosuch" --interval 10s
succeeds "or that is" timeout 60 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --signed-by-secret "$app-signers" --interval 10s
is "$(source_of .found.signature)" ada@example.org "with the same effect"
if command -v gpg >/dev/null; then
  export GNUPGHOME=$it_dir/gnupg
  mkdir -m 700 "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --quick-generate-key "Grace <grace@example.org>" ed25519 sign never 2>/dev/null
  gpg --batch --armor --export grace@example.org >"$it_dir/signers.asc"
  write grace
  git -C shop add -A && git -C shop -c user.signingkey=grace@example.org commit -q -S -m "by Grace" && git -C shop push -q "$repos/shop.git" main
  succeeds "OpenPGP signatures count, too" timeout 60 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --signed-by "$it_dir/signers.asc" --interval 10s
  ok "$(greeting_is grace; echo $?)" "and are deployed"
  succeeds "keys of both kinds, of several files" timeout 60 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --signed-by "$it_dir/signers.asc" --signed-by "$it_dir/signers" --interval 10s
  write ada2 && signed ada "by Ada, among Grace's"
  succeeds "Ada's counts" timeout 60 berth sync "$app"
  is "$(source_of .found.signature)" ada@example.org "as hers"
  write grace && git -C shop add -A && git -C shop -c user.signingkey=grace@example.org commit -q -S -m "by Grace, among Ada's" && git -C shop push -q "$repos/shop.git" main
  succeeds "and Grace's" timeout 60 berth sync "$app"
  like "$(source_of .found.signature)" "grace@example.org" "as hers"
  write eve && signed eve "by a stranger to both"
  fails "but no stranger's" 5 timeout 60 berth sync "$app"
  gpgconf --kill all 2>/dev/null
else
  skip "OpenPGP signatures" "gpg is not here"
fi

# --- the end
succeeds "unfollow" berth unfollow "$app"
is "$(berth source ls -q)" "" "nothing is followed"
ok "$(greeting_is grace; echo $?)" "the app runs on"

done_testing
