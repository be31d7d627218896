#!/usr/bin/env bash
# An app that follows a repository with "build: ." and with files beside its Compose file: what runs is made of exactly the commit.
# timeout: 500
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

command -v git >/dev/null || skip_all "git is not here"
repos=$it_dir/repos
mkdir -p "$repos" "$it_dir/work" && cd "$it_dir/work" || exit 1
app=$it
image=berth-$it/box:1
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.safecrlf GIT_CONFIG_VALUE_0=false GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org
python3 "$src/tests/it/git_host.py" "$repos" "$it_dir/statuses" >"$it_dir/host.port" &
host_pid=$!
cleanup() { # with what was built
  local rc=$? built
  kill $host_pid 2>/dev/null
  mapfile -t built < <(docker image ls -q --filter "label=berth-test=$it" 2>/dev/null | sort -u)
  [ -z "${built[*]}" ] || it_images=("${built[@]}" "${it_images[@]}")
  (exit $rc)
  it_cleanup
}
trap cleanup EXIT
wait_for 10 test -s "$it_dir/host.port"
port=$(cat "$it_dir/host.port")
it_server "  - plugin: scm-git
    config:
      cache: $it_dir/cache
      protocols: [http, file]
      file_roots: [$repos]
      max_repository: 16MiB
      hosts:
        127.0.0.1:$port: {kind: gitea, api: \"http://127.0.0.1:$port/api/v1\", token: t0ken}"
it_image "$image"

source_of() { berth source ls --format json | jq -r ".[] | select(.app == \"$app\") | $1"; }
state_is() { [ "$(source_of .state)" = "$1" ]; }
container() { docker ps -qf name="$app-$1-1"; }
inside() { docker exec "$(container "$1")" sh -c "$2" 2>&1; }
ready() { [ "$(berth ps "$app" --format json | jq '[.[] | select(.ready)] | length')" = "$1" ]; }
statuses() { jq -r "select(.path | endswith(\"$1\")) | .body.state + \" \" + .body.description" "$it_dir/statuses"; }
image_of() { docker inspect -f '{{.Image}}' "$(container "$1")"; }
tags_of() { docker image inspect -f '{{join .RepoTags " "}}' "$(image_of "$1")"; }

git init -q --bare "$repos/shop.git"
git init -q -b main shop
push() { git -C shop add -A && git -C shop commit -q --allow-empty -m "$1" && git -C shop push -q -f "$repos/shop.git" main; }
head_of() { git -C shop rev-parse HEAD; }
mkdir -p shop/deploy/{app,conf,more} && cd shop/deploy || exit 1
serve='["sh", "-c", "trap exit TERM; while :; do sleep 1 & wait; done"]'
cat >compose.yaml <<YAML
include: [more/cache.yaml]
services:
  web:
    build: {context: app, labels: {berth-test: $it}}
    extends: {file: more/base.yaml, service: base}
    env_file: [web.env]
    volumes: ["./conf:/conf", "./conf/one.conf:/etc/one.conf:ro", "./run.sh:/run.sh"]
    configs: [settings]
    secrets: [key]
  worker:
    build: {context: ., dockerfile: ../docker/Dockerfile.worker, labels: {berth-test: $it}}
    image: berth-$it/worker:latest
    stop_grace_period: 1s
  helper: {image: "berth-$it/worker:latest", stop_grace_period: 1s}
configs: {settings: {file: ./settings.ini}}
secrets: {key: {file: ./key.txt}}
YAML
mkdir ../docker
printf 'FROM %s\nCOPY . /app/\nCMD %s\n' "$image" "$serve" >app/Dockerfile
printf 'FROM %s\nCOPY deploy.txt /deploy.txt\nCMD %s\n' "$image" "$serve" >../docker/Dockerfile.worker
printf 'secret*\n' >app/.dockerignore
printf '* text eol=crlf\nignored export-ignore\nlines text eol=crlf\nsubst export-subst\n' >app/.gitattributes
echo no >app/secret.txt; echo yes >app/ignored; printf 'a\nb\n' >app/lines; printf '$%s$\n' 'Format:%H' >app/subst
echo one >app/version; echo worker >deploy.txt
ln -s /etc/passwd app/absolute; ln -s version app/near
echo conf-one >conf/one.conf; echo setting=1 >settings.ini; echo k3y >key.txt; echo FROM_FILE=yes >web.env
printf '#!/bin/sh\necho ran\n' >run.sh; chmod +x run.sh
printf 'services: {cache: {image: "%s", command: [sleep, "999"], init: true, stop_grace_period: 1s}}\n' "$image" >more/cache.yaml
printf 'services: {base: {stop_grace_period: 1s, environment: {FROM_BASE: "yes"}}}\n' >more/base.yaml
cd "$it_dir/work" || exit 1
push "first"

# --- everything that a repository has
succeeds "an app with builds and mounts of its repository" timeout 180 berth follow "$app" --repo "http://127.0.0.1:$port/git/shop.git" --path deploy --interval 24h
like "$out" "mounted read-only" "what is mounted is said to be read-only"
like "$out" "compose.yaml:3" "with file and line"
ok "$(wait_for 20 ready 4; echo $?)" "all of it runs"
is "$(inside web 'cat /app/version /app/near')" "one
one" "the image holds the commit"
is "$(inside web 'ls /app/secret.txt' | grep -c 'No such')" 1 ".dockerignore counts"
is "$(inside web 'cat /app/ignored /app/subst; cat /app/lines | od -An -c | tr -d " \n"; readlink /app/absolute')" "yes
\$Format:%H\$
a\\nb\\n/etc/passwd" "byte for byte as committed: .gitattributes takes nothing out and turns nothing"
is "$(inside web 'cat /conf/one.conf /etc/one.conf; echo $FROM_FILE $FROM_BASE; cat /settings /run/secrets/key; /run.sh')" "conf-one
conf-one
yes yes
setting=1
k3y
ran" "mounts, env_file, configs, secrets, include and extends come along"
like "$(inside web 'echo x >/conf/x')" "Read-only" "and nobody writes into the commit"
is "$(inside worker 'cat /deploy.txt')" worker "a Dockerfile outside of its context"
is "$(image_of helper)" "$(image_of worker)" "who names the image gets the one of the commit"
like "$(tags_of worker)" "berth-$it/worker:git-[0-9a-f]{12}" "images are named by what they are made of"
like "$(tags_of worker)" "berth-$it/worker:latest" "and as they are written"
like "$(tags_of web)" "$app-web:git-[0-9a-f]{12}" "also those that nobody named"
like "$(docker image inspect -f '{{json .Config.Labels}}' "$(image_of web)")" "image.source\":\"http://127.0.0.1:$port/git/shop.git" "and tell their repository"
is "$(stat -c %a "$it_dir/state/sources")" 700 "what is kept of it is the server's alone"

# --- a push changes what runs, and only that
first=$(image_of web) worker=$(container worker)
sed -i 's/^CMD/RUN echo two >\/built\nCMD/' shop/deploy/app/Dockerfile
push "the Dockerfile changes"
succeeds "a commit that changes the Dockerfile" timeout 120 berth sync "$app"
is "$(inside web 'cat /built')" two "changes the container"
is "$(container worker)" "$worker" "and leaves alone what is made of other files"
ok "$([ "$(image_of web)" != "$first" ]; echo $?)" "under another name"
second=$(image_of web) web=$(container web)
echo "more to read" >shop/README && push "only words"
succeeds "a commit that changes nothing that is built or mounted" timeout 60 berth sync "$app"
is "$(container web) $(image_of web)" "$web $second" "builds and replaces nothing"
is "$(source_of .applied)" "$(head_of)" "and is applied"
echo conf-two >shop/deploy/conf/one.conf && push "a mounted file"
succeeds "a mounted file changes" timeout 60 berth sync "$app"
is "$(inside web 'cat /conf/one.conf /etc/one.conf')" "conf-two
conf-two" "and the container sees it"
succeeds "back to the first revision" timeout 60 berth rollback "$app" --to 1
is "$(image_of web)" "$first" "with the image of then"
is "$(inside web 'cat /conf/one.conf')" conf-one "and the files of then"
timeout 60 berth sync "$app" >/dev/null 2>&1
it_stop KILL
it_start
succeeds "what is kept outlives kill -9" timeout 60 berth restart "$app/web"
wait_for 20 ready 4
is "$(inside web 'cat /conf/one.conf')" conf-two "with its files"

# --- a build that fails
good=$(image_of web)
sed -i 's/^RUN.*/RUN echo what-is-$((40 + 2)); exit 3/' shop/deploy/app/Dockerfile && push "it does not build"
fails "a failing build fails the revision" 1 timeout 120 berth sync "$app"
like "$out" "output ended with: .*what-is-42" "with its output"
ok "$(wait_for 20 state_is failed; echo $?)" "the source says so"
like "$(source_of .error)" "cannot build.*what-is-42" "with the output as well"
is "$(image_of web)" "$good" "what runs stays"
ok "$(wait_for 10 eval '[[ "$(statuses "$(head_of)")" == *failure* ]]'; echo $?)" "and the host is told: $(statuses "$(head_of)")"

# --- what cannot be
refused() { # NAME CODE SENTENCE
  push "$1"
  fails "$1" "$2" timeout 90 berth sync "$app"
  like "$out" "$3" "with a sentence"
}
one() { printf 'services:\n  web:\n%s\n' "$1" >shop/deploy/compose.yaml; }
one "    image: $image
    volumes: [./data:/data]"
refused "a folder that is not committed is not mounted" 3 "deploy/compose.yaml:2: service web mounts deploy/data: .*belongs into a volume"
one "    build: nosuch"
refused "nor built" 3 "compose.yaml:2: service web is built in deploy/nosuch"
one "    build: app/version"
refused "a file is no context" 2 "it is a file, no folder"
one "    build: {context: app, dockerfile: ../../../Dockerfile}"
refused "a Dockerfile outside of the repository" 2 "outside of the repository"
one "    build: app"
ln -sf /etc/passwd shop/deploy/app/Dockerfile
refused "a Dockerfile that is a link out of it" 2 "link that leads out"
rm shop/deploy/app/Dockerfile && printf 'FROM %s\nCOPY . /app/\nCMD %s\n' "$image" "$serve" >shop/deploy/app/Dockerfile
ln -sf /etc/shadow shop/deploy/app/.dockerignore
refused "so of .dockerignore" 2 "link that leads out"
rm shop/deploy/app/.dockerignore
one "    build: link"
ln -s /etc shop/deploy/link
refused "a context that is a link out of it" 2 "link that leads out"
rm shop/deploy/link
printf 'services: {web: {image: "%s", volumes: ["d:/d"]}}\nvolumes: {d: {driver_opts: {type: none, o: bind, device: ./conf}, driver: local}}\n' "$image" >shop/deploy/compose.yaml
refused "a volume that is a folder of it" 6 "leave driver_opts out"

# --- trees that mean harm
one "    build: {context: deep, labels: {berth-test: $it}}"
mkdir -p shop/deploy/deep/"$(printf 'd/%.0s' {1..150})" && echo x >shop/deploy/deep/"$(printf 'd/%.0s' {1..150})"/x
refused "folders a hundred and fifty deep" 2 "folders more than 100 deep"
rm -rf shop/deploy/deep && mkdir shop/deploy/deep
head -c 40000000 /dev/zero >shop/deploy/deep/zeros
refused "a file that is small in git and large outside" 2 "max_repository|larger"
rm shop/deploy/deep/zeros
ok "$([ "$(du -sm "$it_dir/cache" "$it_dir/state/sources" | awk '{s += $1} END {print s}')" -lt 40 ]; echo $?)" "and fills no disk"
printf 'FROM %s\nCOPY . /app/\nCMD %s\n' "$image" "$serve" >shop/deploy/deep/Dockerfile
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12\n' 1 >shop/deploy/deep/large.bin
echo upper >shop/deploy/deep/README; echo lower >shop/deploy/deep/readme; echo odd >"shop/deploy/deep/-o \$(id) ü"
long=$(printf 'ü%.0s' {1..100})
echo long >"shop/deploy/deep/$long" && ln -s "$long" shop/deploy/deep/to-long
mkdir -p shop/deploy/deep/sub
printf '* filter=harm diff=harm\n' >shop/deploy/deep/.gitattributes
git -C shop add deploy && git -C shop update-index --add --cacheinfo 160000,"$(head_of)",deploy/deep/sub && git -C shop commit -q -m odd && git -C shop push -q -f "$repos/shop.git" main
succeeds "odd names, names that differ in case, submodules, pointers" timeout 120 berth sync "$app"
like "$out" "deploy/compose.yaml:2: service web: deploy/deep/large.bin is a pointer of Git LFS" "a pointer of Git LFS is named"
like "$out" "sub is a submodule" "a submodule as well"
is "$(inside web 'cat /app/README /app/readme "/app/-o \$(id) ü" /app/to-long')" "upper
lower
odd
long" "files are what they were"

# --- in a process of its own, as a user of its own
chmod 711 "$it_dir" && chmod -R a+rX "$repos"
it_stop
it_config "  - plugin: scm-git
    isolation: process
    config: {protocols: [file], file_roots: [$repos]}"
it_start
cp shop/deploy/app/Dockerfile shop/deploy/deep/Dockerfile && head -c 6000000 /dev/urandom >shop/deploy/deep/large && push "many bytes"
succeeds "trees come out of a process of their own as well" timeout 120 berth follow "$app" --repo "file://$repos/shop.git" --path deploy --interval 24h
is "$(inside web 'cat /app/large' | cksum)" "$(cksum <shop/deploy/deep/large)" "whole"

# --- nothing stays
restart_later() { # as if nothing of it had been used for an hour
  it_stop
  find "$it_dir/state/sources" -mindepth 1 -maxdepth 3 -exec touch -h -d '1 hour ago' {} +
  it_start
}
named() { berth history "$app" --format json | jq -r ".[].origin.trees[]?" | sort -u; }
mkdir "$it_dir/state/sources/default/$app/0123456789abcdef" && echo x >"$it_dir/state/sources/.incoming-x"
restart_later
ok "$(wait_for 20 test ! -e "$it_dir/state/sources/default/$app/0123456789abcdef"; echo $?)" "what no revision names is removed"
ok "$(wait_for 20 test ! -e "$it_dir/state/sources/.incoming-x"; echo $?)" "and what came half-way"
kept() { (cd "$it_dir/state/sources/default/$app" && echo *); }
wait_for 20 eval '[ "$(kept)" = "$(named | xargs)" ]'
is "$(kept)" "$(named | xargs)" "what revisions name is kept, and nothing else"
berth down "$app" >/dev/null 2>&1
wait_for 30 eval '[ "$(berth ls -q)" = "" ]'
restart_later
ok "$(wait_for 20 eval '[ -z "$(ls "$it_dir/state/sources")" ]'; echo $?)" "with the app all of it goes"
done_testing
