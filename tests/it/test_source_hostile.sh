#!/usr/bin/env bash
# Repositories that mean harm, addresses that are none, a host that proves itself wrongly, a machine without git: a sentence each,
# and nothing of it runs.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

command -v git >/dev/null || skip_all "git is not here"
repos=$it_dir/repos
mkdir -p "$repos" "$it_dir/work" && cd "$it_dir/work" || exit 1
app=$it
image=berth-$it/box:1
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=gc.auto GIT_CONFIG_VALUE_0=0
export GIT_AUTHOR_NAME=Mallory GIT_AUTHOR_EMAIL=m@example.org GIT_COMMITTER_NAME=Mallory GIT_COMMITTER_EMAIL=m@example.org

# an ssh server of our own, which gives out repositories to one key
ssh-keygen -q -t ed25519 -N '' -f "$it_dir/host_key" && ssh-keygen -q -t ed25519 -N '' -f "$it_dir/deploy" && ssh-keygen -q -t ed25519 -N '' -f "$it_dir/other"
ssh_port=$((10000 + $$ * 16 % 9000))
cat >"$it_dir/sshd_config" <<CONF
ListenAddress 127.0.0.1
Port $ssh_port
HostKey $it_dir/host_key
AuthorizedKeysFile $it_dir/deploy.pub
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
CONF
sshd=$(command -v sshd || echo /usr/sbin/sshd)
sshd_pid=
if [ -x "$sshd" ]; then
  mkdir -p /run/sshd
  "$sshd" -D -f "$it_dir/sshd_config" 2>/dev/null &
  sshd_pid=$!
fi
silent_pid=
trap 'rc=$?; [ -z "$silent_pid" ] || kill "$silent_pid" 2>/dev/null; [ -z "$sshd_pid" ] || kill "$sshd_pid" 2>/dev/null; (exit $rc); it_cleanup' EXIT
known="[127.0.0.1]:$ssh_port $(cut -d' ' -f1,2 "$it_dir/host_key.pub")"
entry() { # KEY KNOWN-HOSTS GIT
  echo "  - plugin: scm-git
    config:
      cache: $it_dir/cache
      protocols: [https, ssh, http, file]
      file_roots: [$repos]
      max_repository: 16MiB
      timeout: 30s
      git: $3
      hosts:
        127.0.0.1:$ssh_port: {ssh_key: {file: $it_dir/$1}, known_hosts: \"$2\"}"
}
it_server "$(entry deploy "$known" git)"
it_image "$image"

repo() { # NAME : an empty repository with a work tree beside
  git init -q --bare "$repos/$1.git"
  git init -q -b main "$1"
}
save() { # NAME
  git -C "$1" add -A && git -C "$1" commit -q --allow-empty -m "harm" && git -C "$1" push -q "$repos/$1.git" main
}
follow() { timeout 90 berth follow "$app" --interval 24h "$@"; }
compose() { printf 'services: {web: {image: "%s", command: [sleep, "999"], init: true, stop_grace_period: 1s}}\n' "$image"; }

# --- addresses
bad() { # NAME CODE URL SENTENCE
  fails "$1" "$2" follow --repo "$3"
  like "$out" "$4" "with a sentence"
}
bad "ext:: is no address" 2 "ext::sh -c 'touch $it_dir/harm'" "no address of a repository"
bad "nor is an option" 2 "--upload-pack=touch $it_dir/harm" "address|option|value"
bad "nor ssh with an option as host" 2 "ssh://-oProxyCommand=touch/x" "no name of a host"
bad "nor a path with an option in it" 2 "https://host.example/-x/y" "path"
bad "a password in the address is refused" 2 "https://u:p@host.example/x" "password"
bad "a file outside of file_roots is refused" 6 "file:///etc" "file_roots"
bad "a way up out of it as well" 2 "file://$repos/../../etc" "path"
bad "http to strangers is refused" 6 "http://host.example/x.git" "proves nothing"
bad "git:// is not among the protocols" 6 "git://127.0.0.1/x.git" "protocols"
bad "a host that does not answer" 8 "http://127.0.0.1:1/x.git" "127.0.0.1:1"
bad "a repository that is not there" 6 "file://$repos/nosuch.git" "is not there"
ln -s /etc "$repos/out.git"
bad "a link out of file_roots" 6 "file://$repos/out.git" "file_roots"
fails "a branch that looks like an option" 2 follow --repo "file://$repos/x.git" --branch=-x
fails "a branch with a way up" 2 follow --repo "file://$repos/x.git" --branch=a/../b
fails "a path out of the repository" 2 follow --repo "file://$repos/x.git" --path ../..

# --- links, huge files, missing files
repo link
ln -s /etc/passwd link/compose.yaml && save link
fails "a link out of the repository is refused" 2 follow --repo "file://$repos/link.git"
like "$out" "leads out of the repository" "with a sentence"
rm link/compose.yaml && printf 'services: {web: {image: "%s", env_file: [../../../etc/passwd]}}\n' "$image" >link/compose.yaml && save link
fails "a file outside of it is none" 2 timeout 60 berth sync "$app"
like "$out" "outside of the repository|not in the (bundle|repository)" "with a sentence"
rm link/compose.yaml && mkdir link/real && compose >link/real/x.yaml && ln -s real/x.yaml link/compose.yaml && save link
succeeds "a link within it is fine" timeout 60 berth sync "$app"
rm link/compose.yaml && ln -s compose.yaml link/compose.yaml && save link
fails "a link to itself" 2 timeout 60 berth sync "$app"
repo huge
head -c 1200000 /dev/zero | tr '\0' '#' >huge/compose.yaml && save huge
fails "a Compose file of more than a megabyte is refused" 2 follow --repo "file://$repos/huge.git"
like "$out" "1 MiB" "with a sentence"
compose >huge/compose.yaml && head -c 24000000 /dev/urandom >huge/blob && save huge
fails "a repository over max_repository is refused" 2 timeout 60 berth sync "$app"
like "$out" "max_repository" "with a sentence"
ok "$([ "$(du -sm "$it_dir/cache" | cut -f1)" -lt 40 ]; echo $?)" "and does not fill the disk"
repo empty && save empty
fails "no Compose file" 3 follow --repo "file://$repos/empty.git"
fails "no such branch" 3 follow --repo "file://$repos/empty.git" --branch nosuch
printf 'services: {web: {image: "%s", volumes: ["./data:/data"]}}\n' "$image" >empty/compose.yaml && save empty
fails "a folder that is not in the repository as a volume" 3 follow --repo "file://$repos/empty.git"
like "$out" "compose.yaml:1: service web mounts data: .*belongs into a volume" "with a sentence"

# --- what git would run
repo sub
compose >sub/compose.yaml
git -C "$repos/sub.git" config uploadpack.packObjectsHook "touch $it_dir/harm; exec"
printf '#!/bin/sh\ntouch %s/harm\n' "$it_dir" | tee "$repos/sub.git/hooks/post-checkout" >"$repos/sub.git/hooks/reference-transaction"
printf '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch%% %s/harm\n\tupdate = !touch %s/harm\n' "$it_dir" "$it_dir" >sub/.gitmodules
git -C sub update-index --add --cacheinfo 160000,"$(git -C huge rev-parse HEAD)",x
printf '* filter=harm\n' >sub/.gitattributes
save sub
chmod +x "$repos"/sub.git/hooks/* # after our own push
succeeds "submodules, hooks, filters mean nothing" follow --repo "file://$repos/sub.git"
ok "$([ ! -e "$it_dir/harm" ]; echo $?)" "nothing of it ran"

# --- one repository, several at once
for n in 1 2 3 4; do
  timeout 90 berth follow "$app-$n" --repo "file://$repos/sub.git" --interval 24h >"$it_dir/at-once-$n" 2>&1 &
  followers[n]=$!
done
rc=0
for n in 1 2 3 4; do wait "${followers[n]}" || rc=1; done
ok $rc "several apps follow one repository at once"
for n in 1 2 3 4; do berth down "$app-$n" --detach >/dev/null; done

# --- many files
# Without a work tree, which would take longer to write and to remove than all else here.
git init -q --bare "$repos/many.git"
{
  printf 'commit refs/heads/main\ncommitter it <it@example.org> 0 +0000\ndata 4\nharm\nM 100644 inline compose.yaml\ndata <<END\n'
  compose
  printf 'END\n\n'
  seq 100000 | awk '{ printf "M 100644 inline d/%d/%s\ndata %d\n%s\n\n", $1 % 300, $1, length($1) + 1, $1 }'
} | git -C "$repos/many.git" fast-import --quiet
is "$(git -C "$repos/many.git" ls-tree -r --name-only main | wc -l)" 100001 "a repository of many files"
succeeds "a repository of 100,000 files" follow --repo "file://$repos/many.git"

# --- a server that takes calls and says nothing
python3 -c '
import socket, time
s = socket.create_server(("127.0.0.1", 0), backlog=64)
print(s.getsockname()[1], flush=True)
held = []
while True: held.append(s.accept())' >"$it_dir/silent.port" &
silent_pid=$!
wait_for 10 test -s "$it_dir/silent.port"
for i in 1 2 3 4 5 6; do
  berth follow "$app-silent$i" --repo "http://127.0.0.1:$(cat "$it_dir/silent.port")/$i.git" --interval 24h --detach >/dev/null
done
start=$SECONDS
succeeds "who follows another host is served meanwhile" follow --repo "file://$repos/many.git"
ok "$([ $((SECONDS - start)) -lt 20 ]; echo $?)" "at once ($((SECONDS - start)) s)"
ok "$(wait_for 60 eval 'berth source ls --format json | jq -e "any(.[]; .app == \"$app-silent1\" and (.error // \"\" | test(\"took longer|timeout\")))" >/dev/null'; echo $?)" "who hangs is given up"
like "$(berth why "$app-silent1")" "failed: .*(took longer|timeout).*next try is in|not deployed yet" "and why says so"
for i in 1 2 3 4 5 6; do berth unfollow "$app-silent$i" >/dev/null; done
kill $silent_pid

# --- ssh
if [ -n "$sshd_pid" ]; then
  ssh_url=ssh://$(id -un)@127.0.0.1:$ssh_port$repos/many.git
  succeeds "ssh with a key and a known host" follow --repo "$ssh_url"
  is "$(find /run /dev/shm -maxdepth 2 -path '*berth-scm-git-*/job-*' 2>/dev/null)" "" "no key is left behind"
  it_stop
  it_config "$(entry other "$known" git)"
  it_start
  fails "another key is refused" 5 timeout 60 berth sync "$app"
  like "$out" "does not take the ssh key" "with a sentence"
  it_stop
  it_config "$(entry deploy "[127.0.0.1]:$ssh_port $(cut -d' ' -f1,2 "$it_dir/other.pub")" git)"
  it_start
  fails "another host key is refused" 5 timeout 60 berth sync "$app"
  like "$out" "host key" "with a sentence"
else
  skip "ssh" "no sshd here"
fi

# --- in a process of its own, as a user of its own
it_stop
chmod 711 "$it_dir" && chmod -R a+rX "$repos"
it_config "  - plugin: scm-git
    isolation: process
    config: {protocols: [file], file_roots: [$repos]}"
it_start
succeeds "the plug-in works as well in a process of its own" follow --repo "file://$repos/sub.git"
unlike "$(ps -o user= -p "$(pgrep -P "$it_pid" -f berth-plugin-host)" 2>/dev/null)" "^root" "which is not root's"

# --- no git
it_stop
it_config "$(entry deploy "$known" /nosuch/git)"
it_start
fails "without git it says what to install" 8 timeout 60 berth sync "$app"
like "$out" "install it" "with a sentence"
like "$(berth doctor --format json 2>&1)" "git is not on the server's machine" "and so does the doctor"
done_testing
